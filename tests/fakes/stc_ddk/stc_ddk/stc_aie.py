from pathlib import Path

from narrowed_graph import ran
from vendor_graphs import HostGraph

released = []


class STCGraph:
    def __init__(self, path):
        self.graph = HostGraph.read(str(Path(path) / "graph.stcobj"))

    def get_inputs(self):
        return {one.name: [self.graph.shape(one.name), "FLOAT32"] for one in self.graph.inputs}

    def get_output_names(self):
        return [one.name for one in reversed(self.graph.outputs)]


class STCTensor:
    def __init__(self, name, data):
        self.name, self.data = name, data


class STCGraphExec:
    def __init__(self, graph):
        self._graph = graph.graph

    def run(self, feeds):
        by_name = {one.name: one.data for one in feeds}
        return ran(self._graph, [by_name[one.name] for one in self._graph.inputs])[::-1]

    def release(self):
        released.append(self)

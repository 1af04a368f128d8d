"""The runtime that FlagPerf drives Hexaflake's chips with, on the host."""

from narrowed_graph import ran
from vendor_graphs import HostGraph

calls = []
as_bits = False
"""Whether outputs are bfloat16, in integers of 16 bits."""


class TcInfer:
    def __init__(self, engine_file, use_cache=False, max_batch_size=0, dev_ids=()):
        calls.append(("TcInfer", use_cache, max_batch_size, list(dev_ids)))
        self.graph, self.inputs = HostGraph.read(engine_file), {}
        self.bound = []

    def set_input(self, job, name, array, model=0):
        assert (job, model) == (0, 0)
        self.inputs[name] = array

    def run(self, batch_size, context, model):
        assert (batch_size, context, model) == (1, 0, 0)
        arrays = [self.inputs[one.name] for one in self.graph.inputs]
        found = ran(self.graph, arrays)
        if as_bits:
            found = [(one.view("uint32") >> 16).astype("uint16") for one in found]
        self.bound = [*arrays, *found]

    def get_output_by_binding_index(self, job, binding, model=0):
        assert (job, model) == (0, 0)
        return self.bound[binding]

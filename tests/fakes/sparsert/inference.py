"""Moffett's runtime, as far as ByteMLPerf calls it, on the host."""

from pathlib import Path

from narrowed_graph import ran
from vendor_graphs import HostGraph

calls = []


class ModelFactory:
    device_num = None

    def __init__(self, settings):
        calls.append({**settings, "model_path": Path(settings["model_path"]).name})
        self._settings, self._graph = settings, None

    def load_model(self):
        self._graph = HostGraph.read(str(Path(self._settings["model_path"]) / "model.bin"))

    def inference(self, request, callback=None):
        assert self.device_num == 1
        return ran(self._graph, request)

    def destroy(self):
        calls.append("destroy")

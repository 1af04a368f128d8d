"""TopsInference's Python interface, as far as FlagPerf and its samples use it, on the host."""

from pathlib import Path

from narrowed_graph import narrowed, ran
from vendor_graphs import HostGraph

ONNX_MODEL = "onnx"
DT_FLOAT32, DT_FLOAT16, DT_INT64, DT_INT32, DT_INT8, DT_UINT8, DT_BOOL = "f32", "f16", "s64", "s32", "s8", "u8", "pred"
KDEFAULT, KFP16, KFP16_MIX = 0, 1, 2

calls = []
failure = None
waiting = []
"""Futures that nobody has waited for."""


def set_device(card, clusters):
    calls.append(("set_device", card, clusters))
    return "handle"


def release_device(handle):
    calls.append(("release_device", handle))


def create_stream():
    return object()


class Parser:
    def __init__(self, kind):
        assert kind == ONNX_MODEL
        self.given = {}

    def set_input_names(self, names):
        self.given["names"] = names

    def set_input_dtypes(self, kinds):
        self.given["types"] = kinds

    def set_input_shapes(self, shapes):
        self.given["shapes"] = shapes

    def set_output_names(self, names):
        self.given["outputs"] = names

    def read(self, path):
        calls.append(("read", self.given))
        if failure:
            raise RuntimeError(failure)
        return Path(path).read_bytes()


class Optimizer:
    flag = None

    def set_build_flag(self, flag):
        self.flag = flag

    def build(self, network):
        calls.append(("build", self.flag))
        return Engine(narrowed(network, "float16") if self.flag == KFP16_MIX else network)


class Future:
    def __init__(self, outputs, stream):
        self.outputs, self.stream = outputs, stream
        assert all(other.stream is not stream for other in waiting), "a stream was given work before it was waited for"
        waiting.append(self)

    def get(self):
        if self in waiting:
            waiting.remove(self)
        return self.outputs


class Engine:
    def __init__(self, network):
        self.network, self.graph = network, HostGraph(network)

    def save_executable(self, path):
        Path(path).write_bytes(self.network)

    def runV2(self, inputs, py_stream=None):
        return Future(ran(self.graph, inputs), py_stream)


create_parser, create_optimizer = Parser, Optimizer


def load(path):
    calls.append(("load",))
    return Engine(Path(path).read_bytes())

"""IxRT's Python interface, as far as ixrtexec and its samples use it, on the host: bindings are its addresses."""

import ctypes
import enum
from pathlib import Path

import numpy as np
from narrowed_graph import narrowed, ran
from vendor_graphs import HostGraph

calls = []
failure = None
STREAM = 7


class Logger:
    WARNING = 2

    def __init__(self, level):
        assert level == self.WARNING


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0


class BuilderFlag(enum.Enum):
    FP16 = 0
    INT8 = 1
    TF32 = 7
    BF16 = 17


class Network:
    model = None


class Config:
    builder_optimization_level = 3

    def __init__(self):
        self.flags = {BuilderFlag.TF32}

    def set_flag(self, flag):
        self.flags.add(flag)

    def clear_flag(self, flag):
        self.flags.discard(flag)


class Builder:
    def __init__(self, logger):
        pass

    def create_network(self, flags):
        assert flags == 1
        return Network()

    def create_builder_config(self):
        return Config()

    def build_serialized_network(self, network, config):
        calls.append(("build", sorted(flag.name for flag in config.flags), config.builder_optimization_level))
        if failure == "build":
            return None
        kinds = {BuilderFlag.FP16: "float16", BuilderFlag.BF16: "bfloat16"}
        for flag in config.flags:
            network.model = narrowed(network.model, kinds[flag])
        return network.model


class OnnxParser:
    def __init__(self, network, logger):
        self.network = network

    def parse_from_file(self, path):
        self.network.model = Path(path).read_bytes()
        return failure != "parse"


def nptype(kind):
    return kind


class Context:
    def __init__(self, engine):
        self.engine = engine

    def get_binding_shape(self, place):
        return self.engine.graph.shape(self.engine.names[place])

    def execute_async_v2(self, bindings, stream):
        assert stream == STREAM
        graph, arrays = self.engine.graph, {}
        if failure == "execute":
            return False
        for name, address in zip(self.engine.names, bindings, strict=True):
            kind, shape = graph.dtype(name), graph.shape(name)
            buffer = (ctypes.c_char * (int(np.prod(shape)) * kind.itemsize)).from_address(address)
            arrays[name] = np.frombuffer(buffer, kind).reshape(shape)
        found = ran(graph, [arrays[one.name] for one in graph.inputs])
        for one, array in zip(graph.outputs, found, strict=True):
            arrays[one.name][...] = array
        return True


class Engine:
    def __init__(self, model):
        self.graph = HostGraph(model)
        self.names = [one.name for one in (*self.graph.outputs, *self.graph.inputs)]
        self.num_bindings = len(self.names)

    def get_binding_name(self, place):
        return self.names[place]

    def get_binding_dtype(self, place):
        return self.graph.dtype(self.names[place])

    def create_execution_context(self):
        return Context(self)


class Runtime:
    def __init__(self, logger):
        pass

    def deserialize_cuda_engine(self, plan):
        calls.append(("read",))
        return None if failure == "read" else Engine(plan)

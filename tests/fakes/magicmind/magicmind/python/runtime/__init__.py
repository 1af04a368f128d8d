"""MagicMind's runtime, in the shape of its public samples: models run on the host, as narrow as they were built.

A precision mode narrows the weights; integers need a calibrated configuration. What decides something is in `calls`.
"""

import json
from enum import Enum
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from narrowed_graph import narrowed
from vendor_graphs import HostGraph

ModelKind = Enum("ModelKind", "kOnnx kPytorch")
QuantizationAlgorithm = Enum("QuantizationAlgorithm", "LINEAR_ALGORITHM EQNM_ALGORITHM")
Code = Enum("Code", "OK OUT_OF_RANGE INVALID")
KINDS = {"force_float16": "float16", "qint8_mixed_float16": "int8", "qint8_mixed_float32": "int8"}

calls = []
refuses = None
builds = True


class Status:
    def __init__(self, code, message=""):
        self.code, self.message = code, message

    @staticmethod
    def OK():
        return Status(Code.OK)

    def ok(self):
        return self.code is Code.OK

    def error_message(self):
        return self.message


class Dims:
    def __init__(self, dims):
        self.dims = tuple(dims)


class Network:
    model = None


class BuilderConfig:
    calibrated = False

    def parse_from_string(self, text):
        self.settings = json.loads(text)
        calls.append(self.settings)
        return Status.OK()


class CalibDataInterface:
    pass


class Calibrator:
    def __init__(self, samples):
        self.samples = samples

    def set_quantization_algorithm(self, algorithm):
        calls.append(algorithm.name)
        return Status.OK()

    def calibrate(self, network, config):
        if not Device.is_active:
            return Status(Code.INVALID, "no active device")
        for one, data in zip(HostGraph(network.model).inputs, self.samples, strict=True):
            assert data.reset().ok()
            seen = 0
            while data.next().ok():
                assert data.get_sample().shape == data.get_shape().dims
                assert data.get_data_type() in ("FLOAT32", "INT32")
                seen += 1
            calls.append((one.name, seen))
        config.calibrated = True
        return Status.OK()


class Builder:
    def build_model(self, name, network, config):
        mode = config.settings["precision_config"]["precision_mode"]
        assert ("qint8" in mode) == config.calibrated, "integers need calibration"
        if not builds:
            return None
        kind = KINDS.get(mode)
        model = network.model if kind is None else narrowed(network.model, kind)
        return SimpleNamespace(serialize_to_file=lambda path: Path(path).write_bytes(b"mm" + model))


class Device:
    is_active = False
    id = None

    def active(self):
        Device.is_active = True
        calls.append(("active", self.id))
        return Status.OK()

    def create_queue(self):
        return Queue()


class Queue:
    def __init__(self):
        self.waiting = []

    def sync(self):
        for work in self.waiting:
            work()
        self.waiting.clear()
        return Status.OK()


class Model:
    EngineConfig = SimpleNamespace

    def deserialize_from_file(self, path):
        self.saved = Path(path).read_bytes()
        return Status.OK()

    def create_i_engine(self, config):
        assert config.device_type == "MLU"
        if not self.saved.startswith(b"mm"):
            return None
        graph = HostGraph(self.saved[2:])
        return SimpleNamespace(create_i_context=lambda: Context(graph))


class Tensor:
    def __init__(self, shape, dtype):
        self.shape, self.dtype, self.array, self.where = tuple(shape), dtype, None, "host"

    def from_numpy(self, array):
        assert array.dtype == self.dtype and array.shape == self.shape
        self.array = np.array(array)

    def to(self, device):
        assert self.array is not None
        self.where = device

    def asnumpy(self):
        assert self.array is not None, "the queue has not come to it"
        return self.array


class Context:
    def __init__(self, graph):
        self.graph = graph

    def create_inputs(self):
        types = [self.graph.dtype(one.name) for one in self.graph.inputs]
        shapes = [self.graph.shape(one.name) for one in self.graph.inputs]
        return [
            Tensor(shape, np.dtype("int32") if str(kind) == "int64" else kind) for shape, kind in zip(shapes, types, strict=False)
        ]

    def enqueue(self, inputs, outputs, queue):
        assert all(isinstance(one.where, Device) for one in inputs), "inputs are on the host"
        outputs += [Tensor(self.graph.shape(one.name), self.graph.dtype(one.name)) for one in self.graph.outputs]

        def work():
            names = [one.name for one in self.graph.inputs]
            feeds = {name: one.array.astype(self.graph.dtype(name)) for name, one in zip(names, inputs, strict=False)}
            for tensor, found in zip(outputs, self.graph.run(feeds), strict=False):
                tensor.array = found

        queue.waiting.append(work)
        return Status.OK()

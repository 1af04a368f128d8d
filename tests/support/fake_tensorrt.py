"""A stand-in for the `tensorrt` package, in the shape of its Python API of versions 10 and 11.

A plan holds the ONNX graph; contexts read and write the memory at the addresses they are given, and run the graph on
the host. Every call that decides something is kept in `calls`.
"""

from __future__ import annotations

import json
import types
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import onnx
from vendor_graphs import FakeModule, FakeStream, HostGraph, memory_at

HEADER = b"plan"
FORMATS = {
    1: "Row major linear FP32",
    10: "Channel major FP16 format where channel % 8 == 0",
    16: "Row major linear BFloat16 format",
    3: "Thirty-two wide channel vectorized row major Int8 format",
}
DATA_TYPES = {1: "FLOAT", 10: "HALF", 16: "BF16", 3: "INT8", 7: "INT64", 6: "INT32", 9: "BOOL"}


CreationFlag = IntEnum("CreationFlag", "EXPLICIT_BATCH STRONGLY_TYPED", start=0)
BuilderFlag = Enum("BuilderFlag", "TF32 FP16 INT8")
Verbosity = Enum("Verbosity", "LAYER_NAMES_ONLY NONE DETAILED")
Pool = Enum("Pool", "WORKSPACE")
Form = Enum("Form", "ONELINE JSON")
DataType = Enum("DataType", "FLOAT HALF BF16 INT8 INT64 INT32 BOOL")


class FakeTensorrt(FakeModule):
    def __init__(self) -> None:
        super().__init__("tensorrt")
        self.__version__ = "10.16.1"
        self.refuses: str | None = None
        self.builds = True
        self.loads = True
        self.detailed = True
        enums = {
            "NetworkDefinitionCreationFlag": CreationFlag,
            "BuilderFlag": BuilderFlag,
            "ProfilingVerbosity": Verbosity,
            "MemoryPoolType": Pool,
            "LayerInformationFormat": Form,
            "DataType": DataType,
        }
        for name, kind in enums.items():
            setattr(self, name, kind)
        self.Logger = type("Logger", (), {"ERROR": 1, "__init__": lambda self, severity: None})
        self.Builder = lambda logger: Builder(self)
        self.OnnxParser = lambda network, logger: OnnxParser(self, network)
        self.Runtime = lambda logger: Runtime(self)


class Builder:
    def __init__(self, trt: FakeTensorrt) -> None:
        self.trt = trt

    def create_network(self, flags: int) -> Any:
        self.trt.calls.append(("create_network", flags))
        return types.SimpleNamespace(model=b"")

    def create_builder_config(self) -> Any:
        return BuilderConfig(self.trt)

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        self.trt.calls.append(("build", config.profiling_verbosity.name, config.builder_optimization_level))
        return HEADER + network.model if self.trt.builds else None


class BuilderConfig:
    profiling_verbosity: Any
    builder_optimization_level: int

    def __init__(self, trt: FakeTensorrt) -> None:
        self.trt = trt

    def set_flag(self, flag: Any) -> None:
        self.trt.calls.append(("set_flag", flag.name))

    def clear_flag(self, flag: Any) -> None:
        self.trt.calls.append(("clear_flag", flag.name))

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        self.trt.calls.append(("limit", pool.name, size))


class OnnxParser:
    def __init__(self, trt: FakeTensorrt, network: Any) -> None:
        self.trt, self.network = trt, network

    @property
    def num_errors(self) -> int:
        return 0 if self.trt.refuses is None else 1

    def get_error(self, number: int) -> Any:
        assert number == 0
        said = {"node_operator": "Einsum", "node_name": "node_7", "desc": self.trt.refuses}
        return types.SimpleNamespace(**{name: lambda value=value: value for name, value in said.items()})

    def parse_from_file(self, path: str) -> bool:
        model = onnx.load(path)  # as the parser does: with the weights that lie beside it
        self.network.model = model.SerializeToString()
        return self.trt.refuses is None


class Runtime:
    def __init__(self, trt: FakeTensorrt) -> None:
        self.trt = trt

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        if not (self.trt.loads and plan.startswith(HEADER)):
            return None
        return Engine(self.trt, HostGraph(plan[len(HEADER) :]))


class Engine:
    def __init__(self, trt: FakeTensorrt, graph: HostGraph) -> None:
        self.trt, self.graph = trt, graph
        self.names = [one.name for one in (*graph.inputs, *graph.outputs)]

    @property
    def num_io_tensors(self) -> int:
        return len(self.names)

    def get_tensor_name(self, number: int) -> str:
        return str(self.names[number])

    def get_tensor_shape(self, name: str) -> list[int]:
        return self.graph.shape(name)

    def get_tensor_dtype(self, name: str) -> Any:
        return DataType[DATA_TYPES[self.graph.types[name]]]

    def create_execution_context(self) -> Any:
        return Context(self.graph)

    def create_engine_inspector(self) -> Any:
        return types.SimpleNamespace(get_engine_information=self._told)

    def _told(self, form: Any) -> str:
        assert form is Form.JSON
        nodes = self.graph.model.graph.node
        if not self.trt.detailed:
            return json.dumps({"Layers": [node.name for node in nodes], "Bindings": self.names})
        return json.dumps({"Layers": [self._layer(node) for node in nodes], "Bindings": self.names})

    def _layer(self, node: Any) -> dict[str, Any]:
        made = {output: one for one in self.graph.model.graph.node for output in one.output}
        first = node.input[0] if node.input else ""
        if made.get(first) is not None and made[first].op_type == "DequantizeLinear":
            first = made[first].input[0]
        kinds = {"Conv": ("CaskConvolution", "Convolution"), "MatMul": ("gemm", "MatrixMultiply"), "Gemm": ("gemm", "")}
        kind, parameter = kinds.get(node.op_type, ("kgen", node.op_type))
        form = FORMATS.get(self.graph.types.get(first, 0), "unknown")
        typed = {"DataType": form} if self.trt.__version__.startswith("11") else {"Format/Datatype": form}
        return {"Name": node.name, "LayerType": kind, "ParameterType": parameter, "Inputs": [{"Name": first, **typed}]}


class Context:
    def __init__(self, graph: HostGraph) -> None:
        self.graph, self.addresses = graph, dict[str, int]()

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == FakeStream.cuda_stream
        feeds = {one.name: np.array(self._memory(one.name)) for one in self.graph.inputs}
        for one, found in zip(self.graph.outputs, self.graph.run(feeds), strict=True):
            self._memory(one.name)[...] = found
        return True

    def _memory(self, name: str) -> Any:
        return memory_at(self.addresses[name], self.graph.shape(name), self.graph.dtype(name))

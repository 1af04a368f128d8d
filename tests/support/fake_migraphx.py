"""A stand-in for the `migraphx` package, in the shape of its Python API (docs-6.4): programs run on the host."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from vendor_graphs import FakeModule, FakeStream, HostGraph, memory_at

HEADER = b"mxr"
TYPES = {1: "float_type", 10: "half_type", 16: "bf16_type", 7: "int64_type"}


class FakeMigraphx(FakeModule):
    def __init__(self) -> None:
        super().__init__("migraphx")
        self.refuses: str | None = None
        self.fails: str | None = None

    def parse_onnx(self, filename: str) -> Program:
        if self.refuses is not None:
            raise RuntimeError(self.refuses)
        return Program(self, onnx.load(filename).SerializeToString())

    def get_target(self, name: str) -> str:
        return name

    def save(self, program: Program, filename: str) -> None:
        Path(filename).write_bytes(HEADER + program.model)

    def load(self, filename: str) -> Program:
        saved = Path(filename).read_bytes()
        if not saved.startswith(HEADER):
            raise RuntimeError("not a MIGraphX program")
        return Program(self, saved[len(HEADER) :])

    def argument_from_pointer(self, shape: Shape, address: int) -> Any:
        return memory_at(address, shape.lens(), shape.dtype)


class Shape:
    def __init__(self, graph: HostGraph, name: str) -> None:
        self._lens, self.dtype = graph.shape(name), np.dtype(graph.dtype(name))
        self._type = TYPES[graph.types[name]]

    def lens(self) -> list[int]:
        return self._lens

    def strides(self) -> list[int]:
        return [int(np.prod(self._lens[place + 1 :])) for place in range(len(self._lens))]

    def type_string(self) -> str:
        return self._type


class Program:
    def __init__(self, migraphx: FakeMigraphx, model: bytes) -> None:
        self.migraphx, self.model, self.graph = migraphx, model, HostGraph(model)
        self.outputs = {f"main:#output_{number}": one.name for number, one in enumerate(self.graph.outputs)}

    def compile(self, t: str, **options: Any) -> None:
        self.migraphx.calls.append((t, options))
        if self.migraphx.fails is not None:
            raise RuntimeError(self.migraphx.fails)

    def get_parameter_shapes(self) -> dict[str, Shape]:
        names = {name: Shape(self.graph, inner) for name, inner in self.outputs.items()}
        return dict(reversed(names.items())) | {one.name: Shape(self.graph, one.name) for one in self.graph.inputs}

    def run_async(self, params: dict[str, Any], stream: int, stream_name: str) -> None:
        assert (stream, stream_name) == (FakeStream.cuda_stream, "ihipStream_t")
        assert all(name in params for name in self.get_parameter_shapes())
        found = self.graph.run({name: one for name, one in params.items() if not re.search("#output", name)})
        for name, one in zip(self.outputs, found, strict=True):
            params[name][...] = one

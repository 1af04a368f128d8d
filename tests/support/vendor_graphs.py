"""Small real networks for engines that need a vendor's package, and ONNX graphs run on the host in its place."""

from __future__ import annotations

import copy
import ctypes
import functools
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from torch import Tensor, nn

from hardware.engines.compiled import Compiled
from hardware.engines.exported.onnx_file import onnx_file
from hardware.engines.graph import Graph, Placement
from hardware.spec import PrecisionSpec

CONF = Path(__file__).parents[2] / "conf"


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1)
        self.normalisation = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8 * 36, 5)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.linear(torch.relu(self.normalisation(self.convolution(images))).flatten(1)),)


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

    def forward(self, tokens: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        hidden = self.layer(self.embedding(tokens)) * scale
        return hidden, hidden.mean(1)


@functools.cache
def images_graph() -> Graph:
    torch.manual_seed(1)
    network = Convolutional().eval()
    inputs = (torch.randn(4, 3, 6, 6),)
    return Graph(network=network, inputs=inputs, input_names=("images",), output_names=("scores",))


@functools.cache
def tokens_graph() -> Graph:
    torch.manual_seed(2)
    network = Attending().eval()
    inputs = (torch.randint(11, (2, 7)), torch.rand(2, 1, 1) + 0.5)
    names = ("tokens", "scale")
    return Graph(network=network, inputs=inputs, input_names=names, output_names=("hidden", "mean"))


def precision_of(name: str) -> PrecisionSpec:
    return PrecisionSpec(**yaml.safe_load((CONF / f"precision/{name}.yaml").read_text()))


@functools.cache
def exported(graph: Graph) -> Path:
    """Its ONNX files in float32, which most tests share: torch's exporter takes a second or more."""
    folder = Path(tempfile.mkdtemp(prefix="exported-"))
    onnx_file(graph, Placement(device=torch.device("cpu"), precision=precision_of("fp32"), folder=folder))
    return folder


def placement_for(graph: Graph, folder: Path, precision: str = "fp32", **others: Any) -> Placement:
    """On the host, in a folder in which an earlier run has exported the graph."""
    shutil.copytree(exported(graph), folder, dirs_exist_ok=True)
    return plain_placement(folder, precision, **others)


def plain_placement(folder: Path, precision: str = "fp32", **others: Any) -> Placement:
    """On the host, in an empty folder."""
    return Placement(device=torch.device("cpu"), precision=precision_of(precision), folder=folder, **others)


class FakeModule(ModuleType):
    """A module that `find_spec` finds; what decides something of what is made is kept in `calls`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)
        self.calls: list[Any] = []


def others(graph: Graph, count: int = 4) -> tuple[tuple[Tensor, ...], ...]:
    """Batches like the graph's inputs, of other values."""
    torch.manual_seed(3)
    return tuple(
        tuple(torch.randn_like(one) if one.is_floating_point() else one.flip(0) for one in graph.inputs)
        for _ in range(count)
    )


def signal_to_noise_db(graph: Graph, compiled: Compiled) -> float:
    """Of the worst output, against the float64 network, on inputs that the engine was not built with."""
    inputs = others(graph, 1)[0]
    with torch.inference_mode():
        network = copy.deepcopy(graph.network).double()
        exact = network(*(one.double() if one.is_floating_point() else one for one in inputs))
    found = compiled.complete(inputs)
    assert [one.shape for one in found] == [one.shape for one in exact]
    noise = [((ours.double() - theirs) ** 2).sum() for ours, theirs in zip(found, exact, strict=True)]
    power = [(theirs**2).sum() for theirs in exact]
    return min(float(10 * torch.log10(one / two)) for one, two in zip(power, noise, strict=True))


def mixed_up(graph: Graph, compiled: Compiled, threads: int = 4) -> int:
    """How many of several requests at once are not answered as each is alone."""
    requests = others(graph, 3 * threads)
    alone = [compiled.complete(inputs) for inputs in requests]
    with ThreadPoolExecutor(threads) as pool:
        together = list(pool.map(compiled.complete, requests))
    return sum(not torch.equal(one[0], two[0]) for one, two in zip(alone, together, strict=True))


class HostGraph:
    """An ONNX graph that ONNX Runtime runs on the host; one in bfloat16, which it does not have, the reference does."""

    def __init__(self, model: bytes) -> None:
        self.model = onnx.load_model_from_string(model)
        self.types = _element_types(self.model)
        self.session: Any = None
        if onnx.TensorProto.BFLOAT16 not in self.types.values():
            self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    @classmethod
    def read(cls, path: str) -> HostGraph:
        return cls(Path(path).read_bytes())

    @property
    def inputs(self) -> list[Any]:
        return list(self.model.graph.input)

    @property
    def outputs(self) -> list[Any]:
        return list(self.model.graph.output)

    def shape(self, name: str) -> list[int]:
        one = next(one for one in (*self.inputs, *self.outputs) if one.name == name)
        return [dim.dim_value for dim in one.type.tensor_type.shape.dim]

    def dtype(self, name: str) -> np.dtype[Any]:
        found: np.dtype[Any] = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.types[name]))
        return found

    def run(self, feeds: dict[str, Any]) -> list[Any]:
        if self.session is not None:
            return list(self.session.run(None, feeds))
        from onnx.reference import ReferenceEvaluator

        return list(ReferenceEvaluator(self.model).run(None, feeds))


def memory_at(address: int, shape: list[int], dtype: np.dtype[Any]) -> Any:
    """An array over memory of this process, which may be written."""
    raw: Any = (ctypes.c_byte * (int(np.prod(shape)) * dtype.itemsize)).from_address(address)
    return np.frombuffer(raw, dtype=dtype).reshape(shape)


class FakeStream:
    """Of torch.cuda, for buffers that lie on the host."""

    cuda_stream = 77

    def __init__(self, device: torch.device) -> None:
        assert device.type == "cpu"

    def wait_stream(self, other: Any) -> None:
        assert isinstance(other, FakeStream)


def _element_types(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    valued = (*graph.value_info, *graph.input, *graph.output)
    found = {one.name: one.type.tensor_type.elem_type for one in valued}
    return found | {one.name: one.data_type for one in graph.initializer}

"""Models that are served, built as the command line composes them, and an engine's answers beside the framework's."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch
from language_samples import recipe
from torch import Tensor

from hardware.engines.exported.onnxruntime import Onnxruntime
from hardware.engines.graph import Graph, Placement
from hardware.spec import PrecisionSpec
from models.inferable import Inferable

FP32 = PrecisionSpec(name="fp32", weights="float32", autocast=None, matmul="ieee")


def inferable_of(name: str) -> type[Inferable]:
    """The class that the model's YAML names."""
    module, _, cls = recipe(name).implementations["pytorch"].rpartition(".")
    found: type[Inferable] = getattr(importlib.import_module(module), cls)
    return found


def served(name: str, scale: str = "tiny", *, seed: int = 0) -> Inferable:
    """The model with random weights, in evaluation, on torch's default device."""
    torch.manual_seed(seed)
    return inferable_of(name)(recipe(name, scale)).eval()


def answers_of(model: Inferable, inputs: tuple[Tensor, ...], folder: Path) -> tuple[tuple[Tensor, ...], ...]:
    """The framework's answers and ONNX Runtime's."""
    network = model.served().eval()
    graph = Graph(network=network, inputs=inputs, input_names=model.input_names, output_names=model.output_names)
    placement = Placement(device=torch.device("cpu"), precision=FP32, folder=folder)
    compiled = Onnxruntime({"threads": 1}).compile(graph, placement)
    with torch.inference_mode():
        expected = tuple(network(*inputs))
    return expected, compiled.complete(inputs)

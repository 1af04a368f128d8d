"""An engine's answers beside the framework's."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from hardware.engines.exported.onnxruntime import Onnxruntime
from hardware.engines.graph import Graph, Placement
from hardware.spec import PrecisionSpec
from models.inferable import Inferable

FP32 = PrecisionSpec(name="fp32", weights="float32", autocast=None, matmul="ieee")


def answers_of(model: Inferable, inputs: tuple[Tensor, ...], folder: Path) -> tuple[tuple[Tensor, ...], ...]:
    """The framework's answers and ONNX Runtime's."""
    network = model.served().eval()
    graph = Graph(network=network, inputs=inputs, input_names=model.input_names, output_names=model.output_names)
    placement = Placement(device=torch.device("cpu"), precision=FP32, folder=folder)
    compiled = Onnxruntime({"threads": 1}).compile(graph, placement)
    with torch.inference_mode():
        expected = tuple(network(*inputs))
    return expected, compiled.complete(inputs)

"""`compiler=neuron`: AWS Neuron for Trainium and Inferentia2, by tracing the network on the host.

Left alone, neuronx-cc may multiply float32 in bfloat16; every precision sets `--auto-cast` itself, and fp32 sets it to
none. A traced network takes and returns tensors of the host; its calls return when they are done.

Source: awsdocs-neuron.readthedocs-hosted.com, "PyTorch NeuronX Tracing API for Inference", "Neuron Compiler CLI
Reference Guide (neuronx-cc)", "Mixed Precision and Performance-accuracy Tuning" (2.9 to 2.33; read 2026-11).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hardware.engines.base import EXISTING, Engine
from hardware.engines.compiled import Compiled, Made
from hardware.engines.exported.program import unsupported
from hardware.engines.graph import Graph, Placement, Tensors, keep
from hardware.engines.vendor.from_onnx import Built, asked, given, require_precision

NO_CAST = ("--auto-cast", "none")
CASTS = {
    "fp32": NO_CAST,
    "tf32": ("--auto-cast", "matmult", "--auto-cast-type", "tf32"),
    "bf16": ("--auto-cast", "matmult", "--auto-cast-type", "bf16"),
    "fp16": ("--auto-cast", "matmult", "--auto-cast-type", "fp16"),
    "bf16_true": NO_CAST,
    "fp16_true": NO_CAST,
}
"""What neuronx-cc is told in each precision: nothing is cast, or float32 operands of products alone."""
LEVELS = (1, 2, 3)
FILE = "traced.pt"


class Neuron(Engine):
    """A network in TorchScript around code for NeuronCores; taken whole or not at all."""

    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "level", "model_type")
    precisions: ClassVar[tuple[str, ...]] = tuple(CASTS)
    on_host: ClassVar[bool] = False
    modules: ClassVar[tuple[str, ...]] = ("torch_neuronx",)
    packages: ClassVar[tuple[str, ...]] = ("torch-neuronx", "neuronx-cc")
    obtained: ClassVar[str | None] = (
        "pip install torch-neuronx neuronx-cc, from the index that AWS Neuron's guide names"
    )

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.level = options.get("level", 2)
        if self.level not in LEVELS:
            raise ValueError(f"level={self.level} is unknown; there are 1, 2, 3")

    def compile(self, graph: Graph, placement: Placement) -> TracedNetwork:
        """Trace, or load what was traced.

        Raises:
            PrecisionUnsupportedError: it cannot serve in the precision.
            UnsupportedGraphError: the compiler does not take the network.
            FileNotFoundError: `engine_path` names no file.
        """
        import torch
        import torch_neuronx  # noqa: F401 -- it registers what traced networks call

        require_precision(self, placement.precision)
        existing = self.options.get(EXISTING)
        built = self._built(graph, placement) if existing is None else given(Path(existing), placement.precision)
        weights: torch.dtype = getattr(torch, placement.precision.weights)
        loaded = torch.jit.load(str(built.path))  # type: ignore[no-untyped-call]
        return TracedNetwork(built, loaded, weights)

    def _built(self, graph: Graph, placement: Placement) -> Built:
        path, began_s = placement.folder / FILE, time.perf_counter()
        now = keep(path, lambda draft: self._trace(graph, placement, draft))
        made = Made(
            compile_s=time.perf_counter() - began_s if now else None,
            compile_reason="an earlier run had traced the network",
            size_bytes=path.stat().st_size,
            coverage_reason="Neuron compiles a traced network whole, and counts no nodes",
        )
        return Built(path, made, asked(placement.precision))

    def _trace(self, graph: Graph, placement: Placement, target: Path) -> None:
        import torch
        import torch_neuronx

        weights = getattr(torch, placement.precision.weights)
        network = copy.deepcopy(graph.network).to(weights).eval()
        inputs = _typed(graph.inputs, weights)
        arguments = [*CASTS[placement.precision.name], f"-O{self.level}"]
        if self.options.get("model_type"):
            arguments.append(f"--model-type={self.options['model_type']}")
        try:
            traced = torch_neuronx.trace(network, inputs, compiler_args=arguments)
        except RuntimeError as error:
            raise unsupported("neuron", error) from error
        torch.jit.save(traced, str(target))


class TracedNetwork(Compiled):
    """A traced network; the copy to the NeuronCore and back is part of its call."""

    def __init__(self, built: Built, network: Any, weights: Any) -> None:
        self.made, self.evidence = built.made, built.evidence
        self._network, self._weights = network, weights

    def place(self, inputs: Tensors) -> Tensors:
        """On the host, floating-point inputs in the weights' type."""
        return _typed(inputs, self._weights)

    def run(self, placed: Tensors) -> Tensors:
        """Run, and wait."""
        import torch

        with torch.inference_mode():
            outputs = self._network(*placed)
        return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)

    def fetch(self, outputs: Tensors) -> Tensors:
        """They are on the host."""
        return outputs


def _typed(inputs: Tensors, weights: Any) -> Tensors:
    return tuple(one.to(weights) if one.is_floating_point() else one for one in inputs)

"""`compiler=inductor`: torch.compile with its default back-end."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.engines.base import Engine
from hardware.engines.compiled import Made
from hardware.engines.generation import GenerationGraph
from hardware.engines.graph import Graph, Placement
from hardware.engines.native.dynamo import DynamoCompiled, capture, cold, graph_coverage
from hardware.engines.native.network import FLOATING, NativeCompiled, Placed

if TYPE_CHECKING:
    from torch import nn

    from hardware.engines.native.generation import NativeGeneration

MODES = ("default", "reduce-overhead", "max-autotune")
HOST_COMPILERS = ("c++", "g++", "clang++", "cc", "gcc", "clang", "icpx", "cl")
"""Any of these, or what CXX or CC names, compiles what TorchInductor and Triton write in C or C++."""


class Inductor(Engine):
    """TorchInductor."""

    trains: ClassVar[bool] = True
    generates: ClassVar[bool] = True
    precisions: ClassVar[tuple[str, ...]] = FLOATING
    known_options: ClassVar[tuple[str, ...]] = ("mode", "dynamic")
    backend: ClassVar[str] = "inductor"
    """torch.compile's name of it."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.mode = options.get("mode", "default")
        self.dynamic = options.get("dynamic")
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode} is unknown; there are {', '.join(MODES)}")
        if not (self.dynamic is None or isinstance(self.dynamic, bool)):
            raise ValueError(f"dynamic={self.dynamic} must be true, false or null")

    def unavailable_reason(self) -> str | None:
        """It needs a compiler of the host."""
        return no_host_compiler()

    def compile(self, graph: Graph, placement: Placement) -> NativeCompiled:
        """Compile by the first calls, with nothing taken from any cache."""
        placed = Placed(graph, placement)
        mode = None if self.mode == "default" else self.mode
        asked = {"mode": mode, "dynamic": self.dynamic, "backend": self.backend}
        captured = capture(placed.network, placed, graph.inputs, **asked)
        # CUDA graphs write every answer to the same place.
        copies = mode is not None and placement.device.type != "cpu"
        return DynamoCompiled(placed, captured, placed.evidence(captured.products), copies=copies)

    def compile_generation(self, graph: GenerationGraph, placement: Placement) -> NativeGeneration:
        """Compile prefill and step, once each, by a first request, with nothing taken from any cache."""
        import torch
        from torch._dynamo.utils import counters

        from hardware.engines.native.generation import NativeGeneration, run_through

        torch._dynamo.reset()
        counters.clear()
        mode = None if self.mode == "default" else self.mode
        # Shapes are fixed: what was compiled for one request serves every other.
        options: dict[str, Any] = {"mode": mode, "dynamic": bool(self.dynamic)}
        written = NativeGeneration(
            graph, placement, Made(compile_s=0.0), compiled=lambda call: torch.compile(call, **options)
        )
        began_s = time.perf_counter()
        with cold():
            run_through(written, graph)
        written.made = Made(compile_s=time.perf_counter() - began_s, coverage=graph_coverage(counters))
        return written

    def compile_in_place(self, network: nn.Module) -> None:
        """Compile at the first forward pass, inside warm-up."""
        network.compile(mode=None if self.mode == "default" else self.mode, dynamic=self.dynamic)


def no_host_compiler() -> str | None:
    """Why TorchInductor cannot generate code here; None where it can."""
    named = [value.split()[0] for name in ("CXX", "CC") if (value := os.environ.get(name, "").strip())]
    if any(shutil.which(one) for one in (*named, *HOST_COMPILERS)):
        return None
    return "it writes C++, and PATH holds no compiler for it; install g++ or clang, or set CXX"

"""A network that runs in PyTorch on the case's device, in the precision asked for: what torch's engines share."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from hardware.base import PrecisionUnsupportedError
from hardware.engines.compiled import Compiled, Made
from hardware.engines.generation import GenerationGraph
from hardware.engines.graph import Graph, Placement, Tensors
from hardware.precision.evidence import Evidence
from hardware.precision.probe import check, probe

if TYPE_CHECKING:
    import torch
    from torch import nn

FLOATING = ("fp32", "tf32", "fp16", "bf16", "fp16_true", "bf16_true", "w32a16")
"""Precisions that torch itself computes in."""


class Placed:
    """The graph's network on the device, in the precision's types, with what is in force around its forward pass."""

    def __init__(self, graph: Graph | GenerationGraph, placement: Placement) -> None:
        """Copy the network to the device; the graph's own stays as it is.

        Raises:
            PrecisionUnsupportedError: the precision needs quantising, which this does not do.
        """
        import torch

        self.precision, self.device = placement.precision, placement.device
        if self.precision.served is not None:
            raise PrecisionUnsupportedError(f"torch alone does not quantise to {self.precision.served}")
        self.weights: torch.dtype = getattr(torch, self.precision.weights)
        self.network: nn.Module = copy.deepcopy(graph.network).to(self.device, self.weights).eval()

    def place(self, inputs: Tensors) -> Tensors:
        """Inputs on the device; floating-point ones in the weights' type."""
        return tuple(
            one.to(self.device, self.weights if one.is_floating_point() else None, non_blocking=True) for one in inputs
        )

    def context(self) -> AbstractContextManager[Any]:
        """Autocast where the precision asks for it."""
        import torch

        if self.precision.autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, self.precision.autocast))

    def evidence(self) -> Evidence:
        """What the probe finds on the device.

        Raises:
            PrecisionUnsupportedError: it is not what was asked for.
        """
        found = probe(self.network, self.device, self.context)
        check(found, self.precision)
        compute = "tf32" if self.precision.matmul == "tf32" else found["autocast"] or self.precision.weights
        bits = f"products keep {found['matmul_mantissa_bits']} bits"
        return Evidence(weights=tuple(found["parameters"]), compute=(compute,), source="graph", detail=bits)


class NativeCompiled(Compiled):
    """Runs a callable of torch without gradients."""

    def __init__(self, placed: Placed, call: Callable[..., Tensors], made: Made, *, wait: Callable[[], None]) -> None:
        """Take what is to be run.

        Args:
            placed: the network and its surroundings.
            call: takes the inputs on the device one by one.
            made: what compiling took.
            wait: waits for the device.
        """
        self.made, self.evidence = made, placed.evidence()
        self._placed, self._call, self._wait = placed, call, wait

    def place(self, inputs: Tensors) -> Tensors:
        """Copy to the device."""
        return self._placed.place(inputs)

    def run(self, placed: Tensors) -> Tensors:
        """Submit the forward pass."""
        import torch

        with torch.inference_mode(), self._placed.context():
            return self._call(*placed)

    def fetch(self, outputs: Tensors) -> Tensors:
        """Copy to the host; the copy waits."""
        return tuple(one.cpu() for one in outputs)

    def synchronize(self) -> None:
        """Wait for the device."""
        self._wait()


def waiting_for(device: torch.device) -> Callable[[], None]:
    """How to wait for a torch device; the host's own work is done when a call returns."""
    import torch

    if device.type == "cpu":
        return lambda: None
    module = getattr(torch, device.type, None)
    wait = getattr(module, "synchronize", None) or torch.accelerator.synchronize
    return wait


def run_once(compiled: NativeCompiled, graph: Graph) -> None:
    """Have it compile what it compiles at the first call, and wait for it."""
    compiled.complete(graph.inputs)
    compiled.synchronize()

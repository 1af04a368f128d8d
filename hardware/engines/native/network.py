"""A network that runs in PyTorch on the case's device, in the precision asked for: what torch's engines share."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import TYPE_CHECKING, Any

from hardware.base import PrecisionUnsupportedError
from hardware.engines.compiled import Compiled, Made
from hardware.engines.generation import GenerationGraph
from hardware.engines.graph import Graph, Placement, Tensors
from hardware.precision.evidence import Evidence, expected
from hardware.precision.probe import check, probe

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hardware.engines.native.products import Products

FLOATING = ("fp32", "tf32", "fp16", "bf16", "fp16_true", "bf16_true", "w32a16")
"""Precisions that torch itself computes in. `fp16` and `w32a16` are the same to a network that is served."""
TRUE = ("fp32", "tf32", "fp16_true", "bf16_true")
"""Those in which weights are kept in the type that they are multiplied in."""

ANGLES = "inv_freq"
"""How the names of buffers end that a position is multiplied by to give an angle. Rounded to 8 bits they turn the
two-thousandth token by radians: transformers keeps them in float32, too, in whatever type it loads a model."""


class Surroundings:
    """What is in force around a forward pass on a device in a precision."""

    def __init__(self, placement: Placement, inputs: Tensors = ()) -> None:
        """Take what is compiled for: the strides of `inputs`, on the host, are those of every request's."""
        import torch

        self.precision, self.device = placement.precision, placement.device
        self.weights: torch.dtype = getattr(torch, self.precision.weights)
        self._strides = tuple(dense_strides(one) for one in inputs)

    def place(self, inputs: Tensors) -> Tensors:
        """Inputs on the device; floating-point ones in the weights' type, all with the strides compiled for.

        Machine code has strides in it: those of a batch that was filled up may differ, and few engines look.
        Requests come from pageable memory, as a server receives them: the driver stages the copy to a device, and
        `non_blocking` spares the wait for its end alone.
        """
        strides = self._strides or tuple(dense_strides(one) for one in inputs)
        laid = (laid_out(one, wanted) for one, wanted in zip(inputs, strides, strict=True))
        return tuple(
            one.to(self.device, self.weights if one.is_floating_point() else None, non_blocking=True) for one in laid
        )

    def context(self) -> AbstractContextManager[Any]:
        """Autocast where the precision asks for it.

        It remembers casts until its context ends: every request pays for the casts of all weights anew. That is what
        mixed precision costs when it serves, and what `*_true` does without.
        """
        import torch

        if self.precision.autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, self.precision.autocast))

    def run(self, call: Callable[..., Any], inputs: Tensors) -> Any:
        """Submit a forward pass without gradients; `inputs` are placed."""
        import torch

        with torch.inference_mode(), self.context():
            return call(*inputs)

    def evidence(self) -> Evidence:
        """What was asked for: nothing is known of what runs."""
        weights, compute = expected(self.precision)
        return Evidence(weights=(weights,), compute=(compute,), source="asked")


class Placed(Surroundings):
    """The graph's network on the device, in the precision's types."""

    def __init__(self, graph: Graph | GenerationGraph, placement: Placement) -> None:
        """Convert the network to the device; the graph's own stays as it is.

        Raises:
            PrecisionUnsupportedError: the precision needs quantising, which this does not do.
        """
        super().__init__(placement, graph.inputs if isinstance(graph, Graph) else ())
        if self.precision.served is not None:
            raise PrecisionUnsupportedError(f"torch alone does not quantise to {self.precision.served}")
        self.inputs = graph.inputs if isinstance(graph, Graph) else ()
        self.network = converted(graph.network, self.device, self.weights).eval()

    def evidence(self, products: Products | None = None) -> Evidence:
        """What the probe finds on the device, and the products of the network.

        Args:
            products: of what runs; None: those of one pass over the graph's inputs.

        Raises:
            PrecisionUnsupportedError: it is not what was asked for.
        """
        from hardware.engines.native.products import products_of

        found = probe(self.network, self.device, self.context)
        check(found, self.precision)
        products = products or products_of(lambda: self.run(self.network, self.place(self.inputs)))
        return products.evidence(
            weights=found["parameters"],
            tf32=self.precision.matmul == "tf32",
            detail=f"float32 keeps {found['matmul_mantissa_bits']} bits",
        )


class NativeCompiled(Compiled):
    """Runs a callable of torch without gradients."""

    def __init__(
        self,
        surroundings: Surroundings,
        call: Callable[..., Tensors],
        made: Made,
        *,
        evidence: Evidence | None = None,
        wait: Callable[[], None] | None = None,
    ) -> None:
        """Take what is to be run.

        Args:
            surroundings: of every call.
            call: takes the inputs on the device one by one.
            made: what compiling took.
            evidence: what it computes in; None: what the surroundings find.
            wait: waits for the device; None: torch's way.
        """
        self.made, self.evidence = made, evidence or surroundings.evidence()
        self._surroundings, self._call = surroundings, call
        self._wait = wait or waiting_for(surroundings.device)

    def place(self, inputs: Tensors) -> Tensors:
        """Copy to the device."""
        return self._surroundings.place(inputs)

    def run(self, placed: Tensors) -> Tensors:
        """Submit the forward pass."""
        outputs: Tensors = self._surroundings.run(self._call, placed)
        return outputs

    def fetch(self, outputs: Tensors) -> Tensors:
        """Copy to the host; the copy waits."""
        return tuple(one.cpu() for one in outputs)

    def synchronize(self) -> None:
        """Wait for the device."""
        self._wait()


def converted(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Copy of a network whose weights and floating-point buffers are on `device` in `dtype`.

    Tensors are converted one by one, so that the host never holds a second whole copy for a device; weights that are
    already where and what they should be are shared with the original. Buffers never are: a network may write them.
    Rotary frequencies keep their type.
    """
    from torch import nn

    # deepcopy takes what is in its memo for copied; a tensor that is used twice stays one tensor.
    memo: dict[int, Any] = {}
    for name, one in chain(network.named_parameters(), network.named_buffers()):
        wanted = dtype if one.is_floating_point() and not name.endswith(ANGLES) else one.dtype
        weight = isinstance(one, nn.Parameter)
        moved = one.detach().to(device, wanted, copy=not weight)
        memo[id(one)] = nn.Parameter(moved, requires_grad=one.requires_grad) if weight else moved
    return copy.deepcopy(network, memo)


def dense_strides(tensor: Tensor) -> tuple[int, ...]:
    """Strides of a tensor's copy: its own where no two elements share a place."""
    import torch

    return torch.empty_like(tensor, device="meta").stride()


def laid_out(tensor: Tensor, strides: tuple[int, ...]) -> Tensor:
    """A tensor with other strides; the same one where it has them."""
    import torch

    if tensor.stride() == strides:
        return tensor
    return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)


def waiting_for(device: torch.device) -> Callable[[], None]:
    """How to wait for a torch device; the host's own work is done when a call returns."""
    import torch

    if device.type == "cpu":
        return lambda: None
    module = getattr(torch, device.type, None)
    wait = getattr(module, "synchronize", None) or torch.accelerator.synchronize
    return _after_marking(wait) if device.type == "hpu" else wait


def _after_marking(wait: Callable[[], None]) -> Callable[[], None]:
    """Gaudi's lazy mode gathers operations until a step is marked: without that there is nothing to wait for."""
    from habana_frameworks.torch import core
    from habana_frameworks.torch.utils import internal

    def marked() -> None:
        core.mark_step()
        wait()

    return marked if internal.is_lazy() else wait

"""An exponential moving average of a network's weights, which evaluations use in the weights' place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage(nn.Module):
    """`average = decay * average + (1 - decay) * weight` after every optimizer step; kept in checkpoints.

    Floating-point parameters and buffers alike: the statistics of batch normalisation belong to the weights they were
    seen under. Averages are float32 whatever the weights are: in bfloat16 a step of a thousandth of the weight, as a
    decay of 0.999 makes it, is rounded away, and the average stays where it began.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self._weights: list[Tensor] = []
        """The network's own, while the averages stand in their place."""
        for place, tensor in enumerate(_averaged(network)):
            self.register_buffer(f"average_{place}", tensor.detach().to(torch.float32, copy=True))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Follow the network to its device, not into its type."""

        def keep_type(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_type, recurse)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights as they are now; runs on the device and waits for nothing."""
        for average, tensor in zip(self.buffers(), _averaged(network), strict=True):
            average.lerp_(tensor.detach().to(average.dtype), 1 - self.decay)

    @torch.no_grad()
    def swap(self, network: nn.Module) -> None:
        """Put the averages in the place of the network's weights; a second call puts the weights back.

        The averages themselves stay as they are: through weights of a narrower type they would come back rounded.
        """
        own, self._weights = self._weights, []
        if own:
            for tensor, kept in zip(_averaged(network), own, strict=True):
                tensor.copy_(kept)
            return
        for average, tensor in zip(self.buffers(), _averaged(network), strict=True):
            self._weights.append(tensor.detach().clone())
            tensor.copy_(average)


def _averaged(network: nn.Module) -> list[Tensor]:
    return [tensor for tensor in (*network.parameters(), *network.buffers()) if tensor.is_floating_point()]

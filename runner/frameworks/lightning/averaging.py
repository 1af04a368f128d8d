"""An exponential moving average of a network's weights, which evaluations use in the weights' place."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WeightAverage(nn.Module):
    """`average = decay * average + (1 - decay) * weight` after every optimizer step; kept in checkpoints.

    Floating-point parameters and buffers alike: the statistics of batch normalisation belong to the weights they were
    seen under.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        for place, tensor in enumerate(_averaged(network)):
            self.register_buffer(f"average_{place}", tensor.detach().clone())

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights as they are now; runs on the device and waits for nothing."""
        for average, tensor in zip(self.buffers(), _averaged(network), strict=True):
            average.lerp_(tensor.detach().to(average.dtype), 1 - self.decay)

    @torch.no_grad()
    def swap(self, network: nn.Module) -> None:
        """Exchange the network's weights and the averages; a second call puts both back."""
        for average, tensor in zip(self.buffers(), _averaged(network), strict=True):
            kept = tensor.detach().clone()
            tensor.copy_(average)
            average.copy_(kept)


def _averaged(network: nn.Module) -> list[Tensor]:
    return [tensor for tensor in (*network.parameters(), *network.buffers()) if tensor.is_floating_point()]

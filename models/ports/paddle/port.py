"""What ports to Paddle share: how a network is built, and losses in float32."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from paddle import Tensor, nn
from paddle.nn import functional

from models.ports.port import Port
from models.trainable import Trainable

IGNORED = -100
"""A target that is not to be predicted; torch's and Paddle's cross entropy leave it out by default."""


class PaddlePort(Port):
    """A `paddle.nn.Layer` in float32; `paddle.amp` makes of it what a precision means."""

    network: nn.Layer

    def __init__(self, original: Trainable) -> None:
        """Build the network on the current device.

        Args:
            original: the PyTorch model of the same recipe.
        """
        super().__init__(original)
        self.network = self.build()

    @abstractmethod
    def build(self) -> Any:
        """The network (`paddle.nn.Layer`); its weights are replaced by the original's."""


def told(network: Any, *, training: bool) -> Any:
    """The network, told whether it trains; telling walks over all its layers, so it is done at changes alone."""
    if network.training != training:
        network.train() if training else network.eval()
    return network


def token_loss(scores: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy over the counted targets, a float32 scalar; NaN where none counts, as in torch.

    Args:
        scores: (..., vocabulary), of any type.
        targets: int64 (...), `IGNORED` where nothing is to be predicted.
    """
    losses = _losses(scores, targets)
    return losses.sum() / (targets != IGNORED).sum().astype("float32")


def sequence_losses(scores: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of each sequence, float32 (batch,); every target counts.

    Args:
        scores: (batch, length, vocabulary), of any type.
        targets: int64 (batch, length).
    """
    return _losses(scores, targets).mean(axis=-1)


def _losses(scores: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of each target, 0 of ignored ones, in the targets' shape."""
    return functional.cross_entropy(scores.astype("float32"), targets, reduction="none", ignore_index=IGNORED).reshape(
        targets.shape
    )

"""Cross entropy over token targets."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from models.datasets.language.tokens.next_token import IGNORED


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy over the counted targets, in float32 whatever the precision of the network.

    Args:
        logits: (..., vocabulary).
        targets: int64 (...), `IGNORED` where nothing is to be predicted.
    """
    return cross_entropy(logits.flatten(0, -2).float(), targets.flatten(), ignore_index=IGNORED)


def sequence_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of each sequence, float32 (batch,); every target counts.

    Args:
        logits: (batch, length, vocabulary).
        targets: int64 (batch, length).
    """
    return cross_entropy(logits.transpose(1, 2).float(), targets, reduction="none").mean(dim=-1)

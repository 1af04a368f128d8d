"""Cross entropy of scores whose vocabulary is spread over a tensor group, in float32."""

from __future__ import annotations

from typing import Any

from paddle import Tensor
from paddle.distributed import fleet

from models.ports.paddle.port import IGNORED


class SplitLosses:
    """What `models.ports.paddle.port` computes of whole scores; equal on every rank of the group."""

    def __init__(self, group: Any) -> None:
        self._each = fleet.meta_parallel.ParallelCrossEntropy(mp_group=group, ignore_index=IGNORED)

    def of_tokens(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Mean over the counted targets, a scalar."""
        return self._losses(scores, targets).sum() / (targets != IGNORED).sum().astype("float32")

    def of_sequences(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Mean of each sequence (batch,); every target counts."""
        return self._losses(scores, targets).mean(axis=-1)

    def _losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """0 where a target is ignored; in the targets' shape."""
        found: Tensor = self._each(scores.astype("float32"), targets.unsqueeze(-1))
        return found.reshape(targets.shape)

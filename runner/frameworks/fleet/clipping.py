"""Clips gradients by the norm of the whole network's, of which each rank has a part."""

from __future__ import annotations

from typing import Any

import paddle
from paddle import Tensor

from runner.frameworks.fleet.ranks import FleetRanks

Pairs = list[tuple[Any, Any]]
"""Parameters with their gradients."""


class WholeNormClip:
    """In the place of an optimizer's `ClipGradByGlobalNorm`."""

    def __init__(self, clip_norm: float, fleet: FleetRanks, *, counted_elsewhere: str | None = None) -> None:
        """Prepare.

        Args:
            clip_norm: the greatest norm that is left as it is.
            fleet: the rank's groups.
            counted_elsewhere: a parameter that the first stage has, too, where this is another one.
        """
        self.clip_norm = clip_norm
        self._fleet, self._elsewhere = fleet, counted_elsewhere

    def norm(self, pairs: Pairs) -> Tensor:
        """Of all ranks' gradients, each number once; every rank of the model calls this together."""
        with paddle.no_grad():
            return self._norm(pairs)

    def _norm(self, pairs: Pairs) -> Tensor:
        split, whole = paddle.zeros([]), paddle.zeros([])
        for parameter, gradient in pairs:
            if gradient is None or parameter.name == self._elsewhere:
                continue
            square = gradient.astype("float32").square().sum()
            if parameter.is_distributed:  # fleet's mark of what a tensor group has cut
                split = split + square
            else:
                whole = whole + square
        if self._fleet.tensor is not None:
            paddle.distributed.all_reduce(split, group=self._fleet.tensor)
        total = split + whole
        for group in (self._fleet.sharding, self._fleet.pipe):
            if group is not None:
                paddle.distributed.all_reduce(total, group=group)
        return total.sqrt()

    def __call__(self, pairs: Pairs) -> Pairs:
        """The same gradients, scaled in place; as Paddle's own clip, which adds nothing to the norm."""
        norm = self.norm(pairs)
        with paddle.no_grad():
            scale = self.clip_norm / paddle.maximum(norm, paddle.full([], self.clip_norm))
            for _, gradient in pairs:
                if gradient is not None:
                    gradient.multiply_(scale.astype(gradient.dtype))
        return pairs

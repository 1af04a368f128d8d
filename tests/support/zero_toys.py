"""Toys whose gradients are not finite where a test wants it."""

from __future__ import annotations

import os

from torch import Tensor
from toy import Toy

from models.datasets.base import Batch

STEPS = (2, 3, 9)
"""Counted from 1."""


class OverflowOnOneRank(Toy):
    """The last rank alone has gradients that are not finite, in a few steps."""

    def loss(self, batch: Batch) -> Tensor:
        loss = super().loss(batch)
        last = int(os.environ["RANK"]) == int(os.environ["WORLD_SIZE"]) - 1
        if last and self.passes in STEPS:
            loss.register_hook(lambda gradient: gradient * float("nan"))  # type: ignore[no-untyped-call]
        return loss

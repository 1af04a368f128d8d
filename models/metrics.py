"""Shares, counted in whole numbers and divided in float64, so that a target is met exactly when its count is."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class Share(Metric):
    """Right answers ÷ answers that count, over all batches and ranks; NaN when none counts.

    torchmetrics' accuracies divide in float32, where 37,750 of 50,000 is less than 0.755. The division is the host's:
    some accelerators have no float64.
    """

    higher_is_better = True
    full_state_update = False
    right: Tensor
    counted: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("counted", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, right: Tensor, counted: Tensor | None = None) -> None:
        """Add answers: `right` and `counted` are booleans of one shape; without `counted` all of them count."""
        self.right += (right if counted is None else right & counted).sum()
        self.counted += right.numel() if counted is None else counted.sum()

    def compute(self) -> Tensor:
        """The share, a float64 scalar on the host."""
        return self.right.cpu().double() / self.counted.cpu().double()

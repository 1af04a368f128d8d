"""Shares and means whose value depends neither on how batches are cut nor on the ranks that saw them.

Shares are counted in whole numbers and divided in float64, so that a target is met exactly when its count is.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


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


class Auc(Metric):
    """Area under the ROC curve: how often a positive scores above a negative, ties half, over all batches and ranks.

    Every score is kept and sorted at the end, so that nothing is binned: 8 bytes an example, on each rank those of all.
    Pairs are counted in whole numbers. NaN where a score was, or where one of the two classes is missing.
    """

    higher_is_better = True
    full_state_update = False
    scores: list[Tensor]
    positives: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("positives", [], dist_reduce_fx="cat")

    def update(self, scores: Tensor, positives: Tensor) -> None:
        """Add examples: any increasing function of their probability, and 1 or 0, both of one shape."""
        self.scores.append(scores.detach().float().flatten())
        self.positives.append(positives.detach().float().flatten())

    def compute(self) -> Tensor:
        """The area, a float64 scalar on the host."""
        nothing = torch.tensor(float("nan"), dtype=torch.float64)
        if len(self.scores) == 0:
            return nothing
        scores, positives = dim_zero_cat(self.scores), dim_zero_cat(self.positives).long()
        if bool(scores.isnan().any()):
            return nothing
        _, place, counts = torch.unique(scores, return_inverse=True, return_counts=True)
        above = torch.zeros_like(counts).index_add_(0, place, positives)
        below = counts - above
        # Twice the pairs in the right order: each positive with the negatives below it, and half with its equals.
        twice = (above * (2 * (below.cumsum(0) - below) + below)).sum()
        pairs = positives.sum() * (len(positives) - positives.sum())
        area: Tensor = twice.cpu().double() / (2 * pairs.cpu().double())
        return area


class Mean(Metric):
    """Weighted mean over all batches and ranks; NaN when any value was.

    torchmetrics' MeanMetric adds up in float32: after some ten thousand values of like size each further one loses
    digits, and weights beyond 2^24 are lost altogether. Not every device has float64, so a sum is kept as two float32
    numbers, the second of which holds what the first one's rounding dropped (Knuth, TAOCP 2, 4.2.2, theorem B).
    """

    full_state_update = False
    high: Tensor
    low: Tensor
    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Not summed over ranks in float32 but laid side by side, and added on the host.
        self.add_state("high", torch.tensor(0.0), dist_reduce_fx=None)
        self.add_state("low", torch.tensor(0.0), dist_reduce_fx=None)
        self.add_state("weights", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, values: Tensor, weight: int = 1) -> None:
        """Add values, each of which stands for `weight` things."""
        for value in values.detach().float().flatten():
            # A product has twice the digits of its factors: the weight is added piece by piece, each a power of two.
            for place in range(weight.bit_length()):
                if weight >> place & 1:
                    self._add(value * 2**place)
        self.weights += weight * values.numel()

    def _add(self, term: Tensor) -> None:
        total = self.high + term
        part = total - self.high
        self.low = self.low + ((self.high - (total - part)) + (term - part))
        self.high = total

    def compute(self) -> Tensor:
        """The mean, a float64 scalar on the host."""
        total = self.high.cpu().double().sum() + self.low.cpu().double().sum()
        return total / self.weights.cpu().double()

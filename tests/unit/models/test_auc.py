"""The area under the ROC curve against scikit-learn's, which sorts the whole data at once."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from models.metrics import Auc


def auc(scores: torch.Tensor, clicks: torch.Tensor, *, batch: int = 1000) -> float:
    metric = Auc()
    for part, clicked in zip(scores.split(batch), clicks.split(batch), strict=True):
        metric.update(part, clicked)
    return float(metric.compute())


@pytest.mark.parametrize("levels", [2, 3, 50, 10**6])
@pytest.mark.parametrize("batch", [1, 64, 1000])
def test_ties_count_half_whatever_the_batches(levels: int, batch: int) -> None:
    random = torch.Generator().manual_seed(levels)
    scores = torch.randint(levels, (500,), generator=random).float() / levels - 0.5
    clicks = (torch.rand(500, generator=random) < 0.3 + 0.4 * scores).float()
    assert auc(scores, clicks, batch=batch) == pytest.approx(roc_auc_score(clicks, scores), abs=1e-12)


def test_a_constant_is_worth_a_half_and_order_is_all_that_counts() -> None:
    clicks = torch.tensor([0, 1, 1, 0, 1])
    assert auc(torch.zeros(5), clicks) == 0.5
    assert auc(torch.tensor([1e-9, 2e-9, 3e30, 0.0, 4e30]), clicks) == 1
    assert auc(clicks.float(), 1 - clicks) == 0


def test_scores_of_all_ranks_are_sorted_together() -> None:
    """Each rank alone is right about nothing; together they are right about most."""
    ranks = [Auc(), Auc()]
    ranks[0].update(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1, 0, 0]))
    ranks[1].update(torch.tensor([0.8]), torch.tensor([1]))
    gathered = iter([[rank.scores[0] for rank in ranks], [rank.positives[0] for rank in ranks]])
    ranks[1].dist_sync_fn = lambda tensor, group: next(gathered)
    ranks[1].distributed_available_fn = lambda: True
    assert float(ranks[1].compute()) == 0.5


@pytest.mark.parametrize(
    ("scores", "clicks"), [([0.1, math.nan], [0, 1]), ([0.1, 0.2], [1, 1]), ([0.1, 0.2], [0, 0]), ([], [])]
)
def test_what_has_no_area_is_nan(scores: list[float], clicks: list[int]) -> None:
    assert math.isnan(auc(torch.tensor(scores), torch.tensor(clicks)))


def test_half_precision_scores_are_exact_ties() -> None:
    scores = torch.tensor([1.001, 1.002, 0.5]).bfloat16()
    assert auc(scores, torch.tensor([1, 0, 0])) == 0.75


def test_pairs_are_counted_beyond_what_float32_holds() -> None:
    """20,000 squared pairs, of which one is in the wrong order."""
    scores = torch.arange(40_000).float()
    clicks = (scores >= 20_000).float()
    clicks[19_999], clicks[20_000] = 1, 0
    assert auc(scores, clicks, batch=40_000) == 1 - 1 / 20_000**2

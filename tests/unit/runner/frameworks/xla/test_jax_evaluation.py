"""Evaluation batches of compiled programs: one shape, the same number on every rank, nothing counted twice."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from runner.frameworks.xla.evaluation import ROWS, even_batches
from runner.measure.ranks import Ranks


def batch_of(rows: int, first: int = 0) -> dict[str, Any]:
    return {"ids": torch.arange(first, first + rows), "seen": torch.ones(rows, 2, dtype=torch.bool), "samples": rows}


def test_a_short_batch_is_filled_up_with_its_last_row() -> None:
    found = list(even_batches([batch_of(4), batch_of(3, 10)], Ranks(), batch_of(1), rows=4))
    assert [one[ROWS] for one in found] == [4, 3]
    assert found[1]["ids"].tolist() == [10, 11, 12, 12]
    assert found[1]["seen"].shape == (4, 2) and found[1]["samples"] == 3


class OneMore(Ranks):
    """Another rank has three batches."""

    def __init__(self) -> None:
        super().__init__(world=2)
        self.asked = 0

    def greatest(self, value: float) -> float:
        self.asked += 1
        return max(value, float(self.asked <= 3))


@pytest.mark.parametrize("own", [0, 2, 3])
def test_every_rank_takes_as_many_and_counts_its_own(own: int) -> None:
    batches = [batch_of(4, 4 * number) for number in range(own)]
    found = list(even_batches(batches, OneMore(), batch_of(1), rows=4))
    assert len(found) == 3
    assert [one[ROWS] for one in found] == [4] * own + [0] * (3 - own)
    assert {len(one["ids"]) for one in found} == {4}


def test_tensors_that_are_not_one_example_a_row_are_refused() -> None:
    with pytest.raises(ValueError, match="rows"):
        list(even_batches([{"ids": torch.zeros(4), "whole": torch.zeros(3)}], Ranks(), {}, rows=4))

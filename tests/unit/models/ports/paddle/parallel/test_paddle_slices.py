"""Which share of a tensor a tensor rank has."""

from __future__ import annotations

import numpy as np
import pytest

from models.ports.paddle.parallel.slices import Slice


def test_a_rank_has_its_columns() -> None:
    whole = np.arange(12).reshape(2, 6)
    assert Slice(1).part(whole, 1, 3).tolist() == [[2, 3], [8, 9]]


def test_queries_keys_and_values_are_cut_each_by_itself() -> None:
    joined = np.array([[10, 11, 20, 21, 30, 31]])  # queries, keys, values of two heads
    assert Slice(1, 3).part(joined, 0, 2).tolist() == [[10, 20, 30]]
    assert Slice(1, 3).part(joined, 1, 2).tolist() == [[11, 21, 31]]


def test_what_is_not_cut_is_whole_on_every_rank() -> None:
    whole = np.arange(3)
    assert Slice().part(whole, 1, 2).tolist() == [0, 1, 2]
    assert Slice().whole([whole, whole]).tolist() == [0, 1, 2]


@pytest.mark.parametrize("cut", [Slice(0), Slice(1), Slice(1, 3), Slice(0, 2)])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_shares_make_the_whole(cut: Slice, ranks: int) -> None:
    whole = np.random.default_rng(0).normal(size=(16, 24))
    assert np.array_equal(cut.whole([cut.part(whole, rank, ranks) for rank in range(ranks)]), whole)

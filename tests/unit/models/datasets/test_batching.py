"""Batches by size and in streams: nothing too large, nothing twice, the same on every rank."""

from __future__ import annotations

from itertools import islice

import pytest

from models.datasets.batching import SizedSampler, StreamSampler

SIZES = [3, 9, 1, 7, 5, 5, 2, 8, 4, 6]


def test_no_batch_is_larger_than_asked_and_every_example_comes_once() -> None:
    batches = SizedSampler(SIZES, max_size=12).batches_of(0)
    assert sorted(index for batch in batches for index in batch) == list(range(10))
    assert max(max(SIZES[index] for index in batch) * len(batch) for batch in batches) <= 12


def test_passes_differ_and_repeat_themselves() -> None:
    sampler = SizedSampler(SIZES * 20, max_size=12, seed=7)
    assert sampler.batches_of(0) != sampler.batches_of(1)
    assert sampler.batches_of(0) == SizedSampler(SIZES * 20, max_size=12, seed=7).batches_of(0)


def test_ranks_share_a_pass_and_have_as_many_batches_each() -> None:
    ranks = [SizedSampler(SIZES * 5, max_size=12, rank=rank, world=2) for rank in range(2)]
    whole = ranks[0].batches_of(0)
    each = len(whole) // 2
    first, second = ([tuple(batch) for batch in islice(rank, each)] for rank in ranks)
    assert not set(first) & set(second)
    assert {*first, *second} <= {tuple(batch) for batch in whole}


def test_a_resumed_run_goes_on_where_it_was() -> None:
    whole = list(islice(SizedSampler(SIZES, max_size=12), 20))
    assert list(islice(SizedSampler(SIZES, max_size=12, start_batch=13), 7)) == whole[13:]


def test_an_example_that_fits_no_batch_is_named() -> None:
    with pytest.raises(ValueError, match="example 1 has size 9"):
        SizedSampler(SIZES, max_size=8)


def test_rows_of_streams_go_on_from_batch_to_batch() -> None:
    assert list(islice(StreamSampler(length=7, batch_size=2), 4)) == [[0, 3], [1, 4], [2, 5], [0, 3]]
    second = StreamSampler(length=13, batch_size=2, rank=1, world=2, start_batch=4)
    assert list(islice(second, 2)) == [[7, 10], [8, 11]]


def test_too_few_examples_for_the_streams() -> None:
    with pytest.raises(ValueError, match="too few for 4 streams"):
        StreamSampler(length=3, batch_size=4)

"""Batches by size and in streams: nothing too large, nothing twice, the same on every rank."""

from __future__ import annotations

from itertools import islice

import pytest

from models.datasets.batching import ASPECT_BINS, AspectSampler, SizedSampler, StreamSampler

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


RATIOS = [0.4, 0.7, 1.0, 1.33, 1.5, 2.5] * 11


def group_of(index: int) -> int:
    return sum(RATIOS[index] >= border for border in ASPECT_BINS)


def test_aspect_groups_are_torchvisions() -> None:
    assert [round(border, 3) for border in ASPECT_BINS] == [0.5, 0.63, 0.794, 1.0, 1.26, 1.587, 2.0]
    assert AspectSampler([0.1, 0.5, 1.0, 1.9999, 2.0, 9.0], batch_size=1).groups == [0, 1, 4, 6, 7, 7]


def test_images_of_a_batch_have_like_aspect_ratios() -> None:
    batches = list(AspectSampler(RATIOS, batch_size=4, seed=3).batches_of(0))
    assert len(batches) == 66 // 4
    assert all(len(batch) == 4 and len({group_of(index) for index in batch}) == 1 for batch in batches)
    assert len({index for batch in batches for index in batch}) > 55, "nearly every image is seen"


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_every_rank_has_as_many_aspect_batches(world: int, batch_size: int) -> None:
    ranks = [AspectSampler(RATIOS, batch_size=batch_size, rank=rank, world=world) for rank in range(world)]
    for number in range(3):
        passes = [list(rank.batches_of(number)) for rank in ranks]
        assert {len(one) for one in passes} == {max(1, 66 // world // batch_size)} == {ranks[0].per_pass}
        shares = [{index for batch in one for index in batch} for one in passes]
        if world * batch_size <= 66:
            assert sum(map(len, shares)) == len(set().union(*shares)), "no image is on two ranks"


def test_aspect_batches_differ_by_pass_and_seed_and_go_on_where_they_were() -> None:
    sampler = AspectSampler(RATIOS, batch_size=4, seed=7)
    assert list(sampler.batches_of(0)) != list(sampler.batches_of(1))
    assert list(sampler.batches_of(0)) != list(AspectSampler(RATIOS, batch_size=4, seed=8).batches_of(0))
    whole = list(islice(sampler, 50))
    assert whole[:16] == list(sampler.batches_of(0)) and whole[16:32] == list(sampler.batches_of(1))
    assert list(islice(AspectSampler(RATIOS, batch_size=4, seed=7, start_batch=21), 29)) == whole[21:]


def test_few_images_are_repeated_within_an_aspect_batch() -> None:
    batches = islice(AspectSampler([1.0, 1.0, 3.0], batch_size=4, rank=1, world=2), 5)
    assert all((len(batch) == 4 and set(batch) <= {0, 1}) or set(batch) == {2} for batch in batches)


def test_rows_of_streams_go_on_from_batch_to_batch() -> None:
    assert list(islice(StreamSampler(length=7, batch_size=2), 4)) == [[0, 3], [1, 4], [2, 5], [0, 3]]
    second = StreamSampler(length=13, batch_size=2, rank=1, world=2, start_batch=4)
    assert list(islice(second, 2)) == [[7, 10], [8, 11]]


def test_too_few_examples_for_the_streams() -> None:
    with pytest.raises(ValueError, match="too few for 4 streams"):
        StreamSampler(length=3, batch_size=4)

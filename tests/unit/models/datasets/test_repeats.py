"""Repeated augmentation: the same copies in the same places as in torchvision's reference sampler."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from models.datasets.base import EndlessSampler
from models.training import Batching


def reference(length: int, *, repeats: int, rank: int, world: int, seed: int) -> list[int]:
    """references/classification/sampler.py of torchvision, for one epoch, without its rounding to 256."""
    order = torch.randperm(length, generator=torch.Generator().manual_seed(seed)).tolist()
    repeated = [index for index in order for _ in range(repeats)]
    return repeated[rank::world][: length // world]


@pytest.mark.parametrize(("repeats", "world"), [(4, 8), (3, 8), (4, 1), (3, 2), (1, 4)])
def test_each_rank_gets_the_copies_that_torchvisions_sampler_gives_it(repeats: int, world: int) -> None:
    length, batch_size = 480, 10
    for rank in range(world):
        sampler = EndlessSampler(length=length, batch_size=batch_size, rank=rank, world=world, seed=0, repeats=repeats)
        batches = list(islice(sampler, length // (batch_size * world)))
        expected = reference(length, repeats=repeats, rank=rank, world=world, seed=0)
        assert [index for batch in batches for index in batch] == expected[: len(batches) * batch_size]


def test_a_pass_sees_a_quarter_of_the_examples_and_the_next_one_others() -> None:
    sampler = EndlessSampler(length=400, batch_size=20, repeats=4)
    passes = [[index for batch in islice(iter(sampler), start, start + 20) for index in batch] for start in (0, 20)]
    assert [len(set(one)) for one in passes] == [100, 100]
    assert set(passes[0]) != set(passes[1])


def test_a_resumed_run_goes_on_where_it_was() -> None:
    whole = list(islice(EndlessSampler(length=50, batch_size=4, repeats=3), 40))
    rest = list(islice(EndlessSampler(length=50, batch_size=4, repeats=3, start_batch=15), 25))
    assert rest == whole[15:]


def test_a_data_set_smaller_than_a_batch_is_repeated_within_it() -> None:
    batches = list(islice(EndlessSampler(length=3, batch_size=8, repeats=2), 3))
    assert all(len(batch) == 8 and set(batch) <= {0, 1, 2} for batch in batches)


def test_repeats_belong_to_rows() -> None:
    with pytest.raises(ValueError, match="repeats"):
        Batching(by="streams", repeats=2)

from __future__ import annotations

import pickle
from itertools import islice

import pytest

from models.datasets.base import EndlessSampler
from models.datasets.batching import SizedSampler
from models.datasets.visits import Visit, generator_of


def drawn(index: int) -> float:
    return float(generator_of(index).random())


def test_what_is_drawn_depends_on_seed_pass_and_index() -> None:
    visits = [Visit(index, seed, number) for index in (0, 5) for seed in (0, 7) for number in (0, 1)]
    assert len({drawn(visit) for visit in visits}) == len(visits)
    assert drawn(Visit(5, 7, 1)) == drawn(Visit(5, 7, 1))
    assert drawn(3) == drawn(3) != drawn(4)


def test_a_visit_is_its_index_and_survives_the_way_to_a_loader_process() -> None:
    visit = Visit(5, 7, 1)
    assert visit == 5 and [10, 11, 12, 13, 14, 15][visit] == 15
    assert drawn(pickle.loads(pickle.dumps(visit))) == drawn(visit)


@pytest.mark.parametrize("kind", ["rows", "size"])
def test_passes_differ_and_a_resumed_run_draws_the_same(kind: str) -> None:
    def batches(start: int) -> list[list[float]]:
        sampler = (
            EndlessSampler(length=8, batch_size=2, seed=3, start_batch=start)
            if kind == "rows"
            else SizedSampler([1] * 8, max_size=2, seed=3, start_batch=start)
        )
        return [[drawn(index) for index in batch] for batch in islice(sampler, 12 - start)]

    whole = batches(0)
    assert len({one for batch in whole for one in batch}) == 24
    assert batches(7) == whole[7:]

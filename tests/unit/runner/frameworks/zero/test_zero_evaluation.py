"""Ranks that meet in every pass take as many; what was only there to meet is not counted."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
import torch
from toy import Toy, toy_recipe

from runner.frameworks.zero.evaluation import as_many, not_counted
from runner.frameworks.zero.loss_scale import SharedScale
from runner.measure.ranks import Ranks

T = TypeVar("T")


@dataclass(kw_only=True, slots=True)
class ThreadRanks(Ranks):
    """Ranks that are threads of one process."""

    together: threading.Barrier
    values: list[Any] = field(default_factory=list)

    def gather(self, value: T) -> list[T]:
        self.values[self.rank] = value
        self.together.wait()
        found = list(self.values)
        self.together.wait()
        return found


@pytest.mark.parametrize("numbers", [(3, 1), (0, 2), (2, 2), (0, 0)])
def test_every_rank_takes_as_many_passes(numbers: tuple[int, int]) -> None:
    together, values, found = threading.Barrier(2, timeout=60), [None, None], [[], []]

    def take(rank: int) -> None:
        ranks = ThreadRanks(rank=rank, world=2, together=together, values=values)
        own = [{"x": number} for number in range(numbers[rank])]
        for batch, counts in as_many(own, ranks, {"x": "stand-in"}):  # type: ignore[arg-type]
            found[rank].append((batch["x"], counts))

    threads = [threading.Thread(target=take, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    most = max(numbers)
    for rank, number in enumerate(numbers):
        repeated = [(number - 1 if number else "stand-in", False)] * (most - number)
        assert found[rank] == [(one, True) for one in range(number)] + repeated


def test_what_is_not_counted_leaves_the_metrics_alone() -> None:
    toy = Toy(toy_recipe())
    toy.metrics["error"].update(2.0)
    with not_counted(toy):
        toy.metrics["error"].update(100.0)
    assert float(toy.metrics["error"].compute()) == 2.0


class Told:
    """ZeRO's optimizer as far as its scale goes."""

    scale = 0.0

    def override_loss_scale(self, scale: float) -> None:
        self.scale = scale


def test_the_scale_moves_by_the_scalers_rules() -> None:
    optimizer = Told()
    scale = SharedScale(optimizer, torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3))
    seen = [optimizer.scale]
    for skipped in (False, True, False, False, False, True, True):
        scale.update(skipped=skipped)
        seen.append(optimizer.scale)
    assert seen == [1024, 1024, 512, 512, 512, 1024, 512, 256]
    other = Told()
    resumed = SharedScale(other, torch.amp.GradScaler("cpu"))
    assert other.scale == 65536
    resumed.load_state_dict(scale.state_dict())
    assert other.scale == 256

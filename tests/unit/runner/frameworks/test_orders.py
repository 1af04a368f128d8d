"""The order of batches that a recipe asks for, as the training loader gets it."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
from torch.utils.data import Dataset

from models.datasets.base import Datasets
from models.datasets.batching import AspectSampler
from models.training import Batching
from runner.core.errors import ConfigurationError
from runner.frameworks.loaders import _sampler


class Shapes(Dataset[Any]):
    """Images by their aspect ratios alone."""

    def __init__(self, ratios: list[float]) -> None:
        self.ratios = ratios

    def __len__(self) -> int:
        return len(self.ratios)

    def aspect_ratios(self) -> list[float]:
        return self.ratios


def context(rank: int, world: int) -> Any:
    training = SimpleNamespace(batching=Batching(by="aspect"), batch_size=3)
    case = SimpleNamespace(model=SimpleNamespace(training=training), seed=5)
    return SimpleNamespace(case=case, batch_rank=rank, batches=world)


def test_aspect_batches_are_each_ranks_own_from_the_batch_asked_for() -> None:
    ratios = [0.6, 1.0, 1.5, 2.4] * 9
    data = Datasets(Shapes(ratios), Shapes([]))
    for rank in range(2):
        found = islice(_sampler(context(rank, 2), data, 4), 5)
        wanted = islice(AspectSampler(ratios, batch_size=3, rank=rank, world=2, seed=5), 4, 9)
        assert list(found) == list(wanted)


def test_data_without_aspect_ratios_is_refused() -> None:
    data: Any = Datasets([1, 2, 3], [])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"batching\.by=aspect is not possible here: .*aspect ratio"):
        _sampler(context(0, 1), data, 0)

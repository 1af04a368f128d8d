"""Random requests in place of a sample, for models whose answers nobody can judge without their real data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.data import Dataset

from models.datasets.base import Batch

LENGTH = 64


class RandomRequests(Dataset[Batch]):
    """Rows of a model's synthetic batches; the same index is always the same row."""

    def __init__(self, make: Callable[[int], Batch]) -> None:
        """Take what makes a batch of so many rows at random; its values are tensors that lead with the rows."""
        self.make = make

    def __len__(self) -> int:
        return LENGTH

    def __getitem__(self, index: int) -> Batch:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(index)
            return self.make(1)


def joined(rows: list[Batch]) -> Batch:
    """Batches one after another in one."""
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

"""What every data source shares: its error, and the endless, sharded order of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from models.datasets.visits import Visit

Batch = dict[str, Any]
"""A batch is always a dict; its tensors lead with the batch dimension, its counts are Python integers."""


class DataError(ValueError):
    """Data that is missing or malformed: `where` is the file or folder at fault, `expected` its right layout."""

    def __init__(self, problem: str, *, where: Path | str = "", expected: str = "", source: str = "") -> None:
        self.problem, self.where, self.expected, self.source = problem, str(where), expected, source
        obtain = f" Get it from: {source}." if source else ""
        # A loader process hands its errors over as text: the DataLoader makes them anew from the message alone.
        super().__init__(f"{problem}: {where}. Expected: {expected}.{obtain}" if expected else problem)


class Counts(NamedTuple):
    """What one batch holds, known on the host without asking the device."""

    samples: int
    """In the model's unit."""
    tokens: int | None = None
    """Real (not padded) tokens; None for models without tokens."""


class Datasets(NamedTuple):
    """Training and evaluation examples of a trainable, map-style."""

    train: Dataset[Any]
    evaluation: Dataset[Any]


class EndlessSampler(Sampler[list[int]]):
    """Yields batches of indices for ever: each pass over the data in a new order, the ranks' shares disjoint.

    The order depends on (seed, pass) alone, so a resumed run skips to where it was by `start_batch`.
    A pass ends with the last full global batch; a data set smaller than one global batch is repeated within it.

    With `repeats` each drawn example comes so often in a row, which the ranks share out among themselves, and a pass
    draws so many times fewer: repeated augmentation (Hoffer et al., arXiv:1901.09335) as in torchvision's RASampler.
    """

    def __init__(
        self,
        *,
        length: int,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
        start_batch: int = 0,
        repeats: int = 1,
    ) -> None:
        self.length, self.batch_size, self.rank, self.world, self.seed = length, batch_size, rank, world, seed
        self.start_batch, self.repeats = start_batch, repeats

    def __iter__(self) -> Iterator[list[int]]:
        global_batch = self.batch_size * self.world
        batches_per_pass = max(1, self.length // global_batch)
        done = self.start_batch
        while True:
            number = done // batches_per_pass
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
            order = torch.randperm(self.length, generator=generator)
            order = order[: -(-self.length // self.repeats)].repeat_interleave(self.repeats)[: self.length]
            if self.length < global_batch:
                order = order.repeat(-(-global_batch // self.length))
            for batch in range(done % batches_per_pass, batches_per_pass):
                first = batch * global_batch
                done += 1
                indices = order[first + self.rank : first + global_batch : self.world].tolist()
                yield [Visit(index, self.seed, number) for index in indices]


def training_loader(
    dataset: Dataset[Any],
    sampler: Sampler[list[int]],
    collate: Callable[[list[Any]], Batch],
    *,
    workers: int,
    pin: bool,
) -> DataLoader[Any]:
    """Loader over `sampler`'s batches; `pin` asks for page-locked host memory (devices with their own memory)."""
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=pin,
        persistent_workers=workers > 0,
    )


def evaluation_loader(
    dataset: Dataset[Any],
    collate: Callable[[list[Any]], Batch],
    *,
    batch_size: int,
    limit: int | None,
    rank: int,
    world: int,
    workers: int,
) -> DataLoader[Any]:
    """Every `world`-th of the first `limit` examples, starting at `rank`: each is evaluated exactly once."""
    length = len(dataset)  # type: ignore[arg-type]
    stop = length if limit is None else min(limit, length)
    share = Subset(dataset, range(rank, stop, world))
    return DataLoader(share, batch_size=batch_size, collate_fn=collate, num_workers=workers, shuffle=False)

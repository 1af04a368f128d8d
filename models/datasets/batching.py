"""Orders of batches beyond rows at random: examples of similar size together, and streams that go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

from models.datasets.visits import Visit

SPREAD = 0.1
"""Sizes are shuffled by so much before they are sorted, so that batches differ from pass to pass."""


class SizedSampler(Sampler[list[int]]):
    """Batches of examples of similar size, for ever; none is larger than `max_size` with its padding.

    Every rank gets as many batches in a pass as every other; the order depends on (seed, pass) alone.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        max_size: int,
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
        start_batch: int = 0,
    ) -> None:
        """Batches over examples of these sizes.

        Raises:
            ValueError: an example is larger than a batch may be; names it.
        """
        largest = max(range(len(sizes)), key=lambda index: sizes[index])
        if sizes[largest] > max_size:
            raise ValueError(
                f"example {largest} has size {sizes[largest]}; model.train.batching.max_size is {max_size}"
            )
        self.sizes = torch.tensor(list(sizes), dtype=torch.float64)
        self.max_size, self.rank, self.world, self.seed, self.start_batch = max_size, rank, world, seed, start_batch

    def __iter__(self) -> Iterator[list[int]]:
        number, skipped = 0, self.start_batch
        while True:
            batches = self.batches_of(number)
            own = batches[self.rank : len(batches) - len(batches) % self.world : self.world]
            for indices in own[skipped:]:
                yield [Visit(index, self.seed, number) for index in indices]
            number, skipped = number + 1, max(0, skipped - len(own))

    def batches_of(self, number: int) -> list[list[int]]:
        """All ranks' batches of one pass over the examples."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        noise = 1 + SPREAD * (2 * torch.rand(len(self.sizes), generator=generator, dtype=torch.float64) - 1)
        order = torch.argsort(self.sizes * noise).tolist()
        sizes, widest = self.sizes.tolist(), 0.0
        batches: list[list[int]] = [[]]
        for index in order:
            widest = max(widest, sizes[index])
            if batches[-1] and widest * (len(batches[-1]) + 1) > self.max_size:
                batches.append([])
                widest = sizes[index]
            batches[-1].append(index)
        while len(batches) < self.world:  # a data set smaller than one global batch is repeated within it
            batches += batches
        shuffled = torch.randperm(len(batches), generator=generator).tolist()
        return [batches[place] for place in shuffled]


class StreamSampler(Sampler[list[int]]):
    """Batches whose row i goes on where row i of the batch before ended; examples lie one after another in the data.

    The ranks' rows are disjoint streams. What does not fill all streams evenly is left out of a pass.
    """

    def __init__(self, *, length: int, batch_size: int, rank: int = 0, world: int = 1, start_batch: int = 0) -> None:
        self.per_stream = length // (batch_size * world)
        if self.per_stream == 0:
            raise ValueError(f"{length} examples are too few for {batch_size * world} streams")
        self.first, self.batch_size, self.start_batch = rank * batch_size, batch_size, start_batch

    def __iter__(self) -> Iterator[list[int]]:
        place = self.start_batch % self.per_stream
        while True:
            yield [(self.first + row) * self.per_stream + place for row in range(self.batch_size)]
            place = (place + 1) % self.per_stream

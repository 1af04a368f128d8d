"""Orders of batches beyond rows at random: examples of similar shape or size together, and streams that go on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch.utils.data import Sampler

from models.datasets.visits import Visit

SPREAD = 0.1
"""Sizes are shuffled by so much before they are sorted, so that batches differ from pass to pass."""
ASPECT_BINS = tuple(2 ** (third / 3) for third in range(-3, 4))
"""Borders of the groups of width ÷ height: torchvision's detection reference with `--aspect-ratio-group-factor 3`."""


class AspectSampler(Sampler[list[int]]):
    """Batches of images of similar aspect ratio, for ever; what torchvision's `GroupedBatchSampler` does.

    Every rank groups its own share of a pass, drawn at random from (seed, pass) alone, and gets as many batches in it
    as every other. Where its last images fill no batch of one group, the fullest groups are filled up with images that
    the pass already had.
    """

    def __init__(
        self,
        aspect_ratios: Sequence[float],
        *,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
        start_batch: int = 0,
    ) -> None:
        self.groups = [bisect_right(ASPECT_BINS, ratio) for ratio in aspect_ratios]
        self.batch_size, self.rank, self.world, self.seed = batch_size, rank, world, seed
        self.start_batch = start_batch
        self.per_pass = max(1, len(self.groups) // world // batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        number, skipped = divmod(self.start_batch, self.per_pass)
        while True:
            yield from islice(self.batches_of(number), skipped, None)
            number, skipped = number + 1, 0

    def batches_of(self, number: int) -> Iterator[list[int]]:
        """This rank's batches of one pass over the images."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        order = torch.randperm(len(self.groups), generator=generator).tolist()
        while len(order) < self.batch_size * self.world:  # a data set smaller than one global batch is repeated
            order += order
        seen: dict[int, list[int]] = {}
        filling: dict[int, list[int]] = {}
        made = 0
        for index in order[self.rank : len(order) - len(order) % self.world : self.world]:
            group = self.groups[index]
            seen.setdefault(group, []).append(index)
            filling.setdefault(group, []).append(index)
            if len(filling[group]) == self.batch_size:
                yield filling.pop(group)
                made += 1
        fullest = sorted(filling, key=lambda group: len(filling[group]), reverse=True)
        for group in fullest[: max(0, self.per_pass - made)]:
            again = seen[group] * (-(-self.batch_size // len(seen[group])))
            yield (filling[group] + again)[: self.batch_size]


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

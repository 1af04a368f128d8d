"""Evaluation in step: the ranks of a sharded model gather every block together, so each runs as many batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import distributed

from models.datasets.base import Batch
from runner.core.errors import ConfigurationError

REPEATED = "repeated"
"""Key of a batch that was evaluated before: run it, and count nothing of it."""


class EvenBatches:
    """A rank's batches, then its first one again until the rank with the most has had all of its own."""

    def __init__(self, batches: Iterable[Batch], device: torch.device) -> None:
        """Take the batches, whose number is known, and the device on which ranks meet."""
        self._batches, self._device = batches, device

    def __iter__(self) -> Iterator[Batch]:
        own = len(self._batches)  # type: ignore[arg-type]
        most = self._most(own)  # before the first forward pass: the ranks meet in one order
        first: Batch | None = None
        for batch in self._batches:
            first = batch if first is None else first
            yield batch
        for _ in range(most - own):
            if first is None:
                raise ConfigurationError(
                    "Some ranks have no example to evaluate. Lower the number of ranks, or raise "
                    "model.train.quality.samples."
                )
            yield {**first, REPEATED: True}

    def _most(self, own: int) -> int:
        most = torch.tensor(own, device=self._device)
        distributed.all_reduce(most, op=distributed.ReduceOp.MAX)
        return int(most)


def without_counting(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics that take what a repeated batch gives, and that nobody asks."""
    return {name: _Sink() for name in metrics}


class _Sink:
    """Takes everything."""

    def update(self, *_: Any, **__: Any) -> None:
        """Count nothing."""

"""Evaluation batches of ranks that meet in every forward pass: all of them take as many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from models.datasets.base import Batch
from models.trainable import Trainable
from runner.measure.ranks import Ranks


def as_many(batches: Iterable[Batch], ranks: Ranks, stand_in: Batch) -> Iterator[tuple[Batch, bool]]:
    """Each batch with whether it counts; a rank that has run out gets its last one again while others have more.

    Args:
        batches: this rank's; the ranks' numbers of them may differ.
        ranks: every one of them iterates together.
        stand_in: for a rank that has none at all.
    """
    own = iter(batches)
    batch, counts = stand_in, True
    while True:
        following = next(own, None) if counts else None
        counts = following is not None
        if following is not None:
            batch = following
        if not ranks.greatest(float(counts)):
            return
        yield batch, counts


@contextmanager
def not_counted(trainable: Trainable) -> Iterator[None]:
    """Evaluate into metrics that nobody reads."""
    kept = trainable.metrics
    trainable.metrics = {name: metric.clone() for name, metric in kept.items()}
    try:
        yield
    finally:
        trainable.metrics = kept

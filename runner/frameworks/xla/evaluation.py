"""Evaluation batches as compiled programs need them: all of one shape, as many on every rank."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from models.datasets.base import Batch
from runner.frameworks.zero.evaluation import as_many
from runner.measure.ranks import Ranks

ROWS = "counted_rows"
"""Key of a batch: so many of its first rows count, the others only fill it up."""


def even_batches(batches: Iterable[Batch], ranks: Ranks, stand_in: Batch, *, rows: int) -> Iterator[Batch]:
    """Each batch with `ROWS`; short ones are filled up with their last row, a rank that has run out gets ones of none.

    Args:
        batches: this rank's.
        ranks: every one of them iterates together.
        stand_in: for a rank that has none at all.
        rows: of every batch.
    """
    counted: Iterable[tuple[Batch, bool]] = ((batch, True) for batch in batches)
    if ranks.world > 1:
        counted = as_many(batches, ranks, stand_in)
    for batch, counts in counted:
        yield _filled(batch, rows, counts=counts)


def _filled(batch: Batch, rows: int, *, counts: bool) -> Batch:
    own = {len(value) for value in batch.values() if isinstance(value, Tensor)}
    if len(own) != 1:
        raise ValueError(f"an evaluation batch has tensors of {sorted(own)} rows: they are not one example each")
    found = own.pop()
    filled: dict[str, Any] = {name: _longer(value, rows) for name, value in batch.items()}
    return filled | {ROWS: found if counts else 0}


def _longer(value: Any, rows: int) -> Any:
    if not isinstance(value, Tensor) or len(value) >= rows:
        return value
    return torch.cat([value, value[-1:].expand(rows - len(value), *value.shape[1:])])

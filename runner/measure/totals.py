"""Running totals of a training run, over all ranks and over the parts of a resumed run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from runner.measure.step_records import StepRecord


@dataclass(kw_only=True, slots=True)
class Totals:
    """What FlagPerf's three throughputs are made of. Samples are the whole job's, seconds the slowest rank's."""

    steps: int = 0
    """Optimizer steps that changed the weights."""
    skipped_steps: int = 0
    """Those that the gradient scaler skipped; none of their samples and tokens is in the other counts."""
    samples: int = 0
    tokens: int | None = 0
    training_s: float = 0.0
    """From the start of training on: evaluations, checkpoints and warm-up included."""
    evaluate_s: float = 0.0
    """Evaluations and checkpoints."""
    core_s: float | None = 0.0
    """Waiting for data excluded as well; null where the stack has no device events."""

    @property
    def taken(self) -> int:
        """Optimizer steps as the loop and the data's order count them, skipped ones included."""
        return self.steps + self.skipped_steps

    def as_dict(self) -> dict[str, Any]:
        """For events and checkpoints."""
        return asdict(self)


@dataclass(kw_only=True, slots=True, frozen=True)
class Share:
    """What one stretch adds, joined over the ranks."""

    samples: int
    tokens: int | None
    core_s: float | None
    seconds: float


def join_ranks(trainer: pl.Trainer, records: Sequence[StepRecord], seconds: float) -> Share:
    """Sum the ranks' samples and tokens; take the slowest rank's seconds."""
    has_tokens = all(record.tokens is not None for record in records)
    tokens = sum(record.tokens or 0 for record in records)
    counts = [float(sum(record.samples for record in records)), float(tokens)]
    timed = all(record.core_seconds is not None for record in records)
    times = [sum(record.core_seconds or 0.0 for record in records), seconds]
    summed = _reduce(trainer, counts, "sum")
    slowest = _reduce(trainer, times, "max")
    return Share(
        samples=round(summed[0]),
        tokens=round(summed[1]) if has_tokens else None,
        core_s=slowest[0] if timed else None,
        seconds=slowest[1],
    )


def _reduce(trainer: pl.Trainer, values: list[float], operation: str) -> list[float]:
    if trainer.world_size == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64, device=trainer.strategy.root_device)
    reduced = trainer.strategy.reduce(tensor, reduce_op=operation)
    assert isinstance(reduced, torch.Tensor)
    return [float(value) for value in reduced.cpu()]

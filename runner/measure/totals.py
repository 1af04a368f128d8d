"""Running totals of a training run, over all ranks and over the parts of a resumed run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from runner.measure.ranks import Ranks
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
    """Waiting for data excluded as well; None where the stack has no device events."""

    @property
    def taken(self) -> int:
        """Optimizer steps as the loop and the data's order count them, skipped ones included."""
        return self.steps + self.skipped_steps

    def as_dict(self) -> dict[str, Any]:
        """For events and checkpoints."""
        return asdict(self)

    def add(self, records: Sequence[StepRecord], share: SegmentTotals) -> None:
        """Add a segment: its steps, and what all ranks did in it."""
        skipped = sum(record.skipped for record in records)
        self.steps += len(records) - skipped
        self.skipped_steps += skipped
        self.samples += share.samples
        self.tokens = None if self.tokens is None or share.tokens is None else self.tokens + share.tokens
        self.core_s = None if self.core_s is None or share.core_s is None else self.core_s + share.core_s


@dataclass(kw_only=True, slots=True, frozen=True)
class SegmentTotals:
    """What one segment adds: on one rank, or joined over all of them."""

    samples: int
    tokens: int | None
    core_s: float | None
    seconds: float


def join_ranks(ranks: Ranks, records: Sequence[StepRecord], seconds: float) -> SegmentTotals:
    """Sum the ranks' samples and tokens, of ranks that share a batch once; take the slowest rank's seconds.

    Args:
        ranks: every one of them calls this together.
        records: the segment's steps on this rank.
        seconds: between the segment's edges on this rank.
    """
    tokens = [record.tokens for record in records if record.tokens is not None]
    core_s = [record.core_seconds for record in records if record.core_seconds is not None]
    own = SegmentTotals(
        samples=sum(record.samples for record in records),
        tokens=sum(tokens) if len(tokens) == len(records) else None,
        core_s=sum(core_s) if len(core_s) == len(records) else None,
        seconds=seconds,
    )
    everyone = ranks.gather(own)
    shares = everyone[:: ranks.shared]
    all_tokens = [share.tokens for share in shares if share.tokens is not None]
    all_core_s = [share.core_s for share in everyone if share.core_s is not None]
    return SegmentTotals(
        samples=sum(share.samples for share in shares),
        tokens=sum(all_tokens) if len(all_tokens) == len(shares) else None,
        core_s=max(all_core_s) if len(all_core_s) == len(everyone) else None,
        seconds=max(share.seconds for share in everyone),
    )

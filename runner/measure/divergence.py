"""Ends a run that does not learn: its loss is no number, or its gradient scaler skips step after step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runner.core.errors import DivergedError
from runner.measure.step_records import StepRecord

SEARCH = 16
"""A fresh scaler begins at 2¹⁶ and halves it with every skip until gradients fit: after so many nothing is scaled."""
FEWEST = 5
"""Skips in a row that a run survives in any case: a spike of the gradients may take several halvings."""


@dataclass(kw_only=True, slots=True)
class Divergence:
    """Looks at every step, in order, across the edges of segments."""

    block_steps: int
    """Of warm-up: so many skips in a row are a block in which nothing was learnt."""
    learnt: bool = False
    """Whether any step has changed the weights so far, in an earlier part of the run too."""
    skips_in_a_row: int = 0

    def look(self, records: Sequence[StepRecord]) -> None:
        """Look at the steps of one segment.

        Raises:
            DivergedError: names the step.
        """
        for record in records:
            if record.loss is not None and not math.isfinite(record.loss):
                raise DivergedError(
                    f"The loss became {record.loss} at step {record.step}. Lower model.train.optimizer.lr, raise "
                    "model.train.schedule.warmup, or use a wider precision."
                )
            self.skips_in_a_row = self.skips_in_a_row + 1 if record.skipped else 0
            self.learnt = self.learnt or not record.skipped
            if self.skips_in_a_row >= self._limit:
                raise DivergedError(
                    f"The gradient scaler skipped {self.skips_in_a_row} optimizer steps in a row up to step "
                    f"{record.step}: gradients were not finite, and no weight changed. Lower model.train.optimizer.lr, "
                    "raise model.train.schedule.warmup, or use a wider precision, as precision=bf16."
                )

    @property
    def _limit(self) -> int:
        least = max(self.block_steps, FEWEST)
        return least if self.learnt else max(least, SEARCH + 1)

"""Ends a run that does not learn: its loss is no number, or its gradient scaler skips step after step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runner.core.errors import DivergedError
from runner.measure.step_records import StepRecord

HALVINGS = 16
"""A scaler begins at 2¹⁶ and halves it with every skip until gradients fit: after so many nothing is scaled any more.

A spike of the gradients may need as many as a fresh scaler: of WaveGlow, five are seen after six good steps.
"""


@dataclass(kw_only=True, slots=True)
class Divergence:
    """Looks at every step, in order, across the edges of segments."""

    block_steps: int
    """Of warm-up: a run may skip a whole block."""
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
            if self.skips_in_a_row > max(self.block_steps, HALVINGS):
                raise DivergedError(
                    f"The gradient scaler skipped {self.skips_in_a_row} optimizer steps in a row up to step "
                    f"{record.step}: gradients were not finite, and no weight changed. Lower model.train.optimizer.lr, "
                    "raise model.train.schedule.warmup, or use a wider precision, as precision=bf16."
                )

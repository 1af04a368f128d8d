"""Measures the speed of Lightning's training loop: its hooks tell the measuring core what happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from models.datasets.base import Batch
from runner.frameworks.lightning.communication import MeetingMarks
from runner.frameworks.lightning.module import TrainableModule
from runner.frameworks.lightning.ranks import LightningRanks
from runner.measure.context import Context
from runner.measure.session import PlanSegment
from runner.measure.totals import Totals
from runner.measure.training_session import TrainingSession


class Throughput(pl.Callback):
    """A thin user of `TrainingSession`; every rank has one."""

    def __init__(
        self, context: Context, plan_segment: PlanSegment, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ranks = LightningRanks(
            rank=context.rank, world=context.world, shared=context.case.topology.parallel.shared
        )
        passes = context.case.model.training.gradient_accumulation_steps
        self.session = TrainingSession(context, self._ranks, plan_segment, passes_per_step=passes, clock=clock)
        self._meeting = MeetingMarks(self.session)

    @property
    def totals(self) -> Totals:
        """What was done so far, over all parts of the run."""
        return self.session.totals

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Learn how the ranks meet."""
        self._ranks.strategy = trainer.strategy
        self._meeting.setup(trainer, pl_module)
        if trainer.world_size > 1 and isinstance(pl_module, TrainableModule):
            pl_module.forward_marks = self._meeting

    # --- the hooks that run inside the window -----------------------------------------------------------------

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Mark that the batch is on the device."""
        entered_s = time.perf_counter()
        assert isinstance(pl_module, TrainableModule)
        self._rate: float = trainer.optimizers[0].param_groups[0]["lr"]  # at the step's end it is the next one's
        self.session.begin_pass(pl_module.trainable.count(batch), entered_s)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Mark the end of the pass; at the last planned step, close the segment and open the next one."""
        self.session.end_pass(outputs["loss"], time.perf_counter())
        assert isinstance(pl_module, TrainableModule)
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if stepped and self.session.end_step(self._rate, pl_module.skipped):
            self.session.close()
            self._open(trainer)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Of several ranks, mark where this one is done with its own work."""
        self._meeting.before_backward(loss)

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Of several ranks, mark where they have met."""
        self._meeting.after_backward()

    # --- edges ------------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the clock of training."""
        self.session.begin()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock of the segment; the clock of training goes on."""
        self.session.begin_evaluation()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Account for the evaluation and open the next segment."""
        self.session.end_evaluation()
        if not trainer.sanity_checking and not trainer.should_stop:
            self._open(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close what is open and emit the totals."""
        self.session.end()

    def _open(self, trainer: pl.Trainer) -> None:
        self.session.open()
        if self.session.complete:
            trainer.should_stop = True

    # --- resuming ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The totals at this moment, for the checkpoint."""
        return self.session.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier part's totals."""
        self.session.restore(state_dict)

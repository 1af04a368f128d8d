"""Marks training's beginning and end in the power trace. The reading itself happens in the sampler process."""

from __future__ import annotations

import pytorch_lightning as pl

from runner.frameworks.training_edges import mark_begin, mark_end
from runner.measure.context import Context


class TrainingMarks(pl.Callback):
    """Stands first in the list of callbacks, so that its marks enclose all the others' work."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Mark the beginning, with the device at rest."""
        mark_begin(self._context)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Mark the end, after the device's last work."""
        mark_end(self._context, trainer.strategy.barrier)

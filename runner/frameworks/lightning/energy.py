"""Marks training's beginning and end in the power trace. The reading itself happens in the sampler process."""

from __future__ import annotations

import pytorch_lightning as pl

from runner.measure.context import Context


class TrainingMarks(pl.Callback):
    """Stands first in the list of callbacks, so that its marks enclose all the others' work."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Mark the beginning, with the device at rest."""
        self._context.device.synchronize()
        self._context.mark("train_begin")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Mark the end, after the device's last work."""
        self._context.device.synchronize()
        trainer.strategy.barrier()
        self._context.mark("train_end")

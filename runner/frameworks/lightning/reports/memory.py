"""Reports the allocator's peaks of training."""

from __future__ import annotations

import pytorch_lightning as pl

from runner.frameworks.training_edges import tell_memory_peaks
from runner.measure.context import Context


class MemoryPeaksReport(pl.Callback):
    """One event per rank at the end of training."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the peaks of building and of the first evaluation."""
        self._context.device.reset_memory_peaks()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell the peaks."""
        tell_memory_peaks(self._context)

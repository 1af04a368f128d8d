"""Verifies before the first step that the precision asked for is the one that runs."""

from __future__ import annotations

import pytorch_lightning as pl

from runner.frameworks.precision import verify_precision
from runner.measure.context import Context


class PrecisionCheck(pl.Callback):
    """Probes parameters, autocast and matrix products; a difference ends the run, slow products are warned of."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Probe, tell, and refuse what is not as asked.

        Raises:
            PrecisionUnsupportedError: what runs is not what was asked for.
        """
        plugin, device = trainer.precision_plugin, trainer.strategy.root_device
        verify_precision(
            self._context, pl_module, device, plugin.forward_context, plugin=plugin, optimizers=trainer.optimizers
        )

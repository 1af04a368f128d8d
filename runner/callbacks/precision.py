"""Verifies before the first step that the precision asked for is the one that runs."""

from __future__ import annotations

import pytorch_lightning as pl

from hardware.probe import check, probe
from runner.context import Context
from runner.events import Name


class PrecisionCheck(pl.Callback):
    """Probes parameters, autocast and matrix products; a difference ends the run."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Probe, tell, and refuse what is not as asked.

        Raises:
            PrecisionUnsupportedError: what runs is not what was asked for.
        """
        plugin = trainer.precision_plugin
        device = trainer.strategy.root_device
        found = probe(pl_module, device, plugin.forward_context, plugin=plugin, optimizers=trainer.optimizers)
        self._context.events.emit(Name.PRECISION, found)
        check(found, self._context.case.precision)

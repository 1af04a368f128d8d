"""Verifies before the first step that the precision asked for is the one that runs."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from hardware.precision.probe import check, probe
from hardware.precision.product_speed import time_to_float32
from runner.core.events import Name
from runner.measure.context import Context

SLOW = 2.0
"""A narrow type whose products take so many times as long as float32 is not in the hardware."""


class PrecisionCheck(pl.Callback):
    """Probes parameters, autocast and matrix products; a difference ends the run, slow products are warned of."""

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
        ratio = self._product_time_ratio(device)
        self._context.events.emit(Name.PRECISION, found | {"product_time_to_float32": ratio})
        check(found, self._context.case.precision)
        if ratio is not None and ratio > SLOW and self._context.rank == 0:
            self._context.events.emit(Name.WARNING, {"message": self._slow(ratio)})

    @property
    def _products(self) -> str:
        """The type in which most products are computed."""
        precision = self._context.case.precision
        return precision.autocast or precision.weights

    def _product_time_ratio(self, device: torch.device) -> float | None:
        """None for float32 itself."""
        if self._products == "float32":
            return None
        return time_to_float32(getattr(torch, self._products), device, self._context.device.synchronize)

    def _slow(self, ratio: float) -> str:
        name, products = self._context.case.precision.name, self._products
        return (
            f"precision={name}: a matrix product in {products} takes {ratio:.0f} times as long as in float32 here, as "
            f"where software does what the hardware lacks. The figures are those of {products} on this device all the "
            "same; precision=fp32 is likely to be faster."
        )

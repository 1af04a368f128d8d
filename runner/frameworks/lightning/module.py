"""A `Trainable` as Lightning trains it: its loss, its optimizer, its metrics as `quality/<name>`."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from models.datasets.base import Batch
from models.trainable import Trainable
from runner.frameworks.lightning.averaging import WeightAverage


class TrainableModule(pl.LightningModule):
    """Knows Lightning, so that no model needs to."""

    def __init__(self, trainable: Trainable) -> None:
        super().__init__()
        self.trainable = trainable
        decay = trainable.recipe.training.regularisation.ema_decay
        self.average = None if decay is None else WeightAverage(trainable.network, decay)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one pass."""
        return self.trainable.loss(batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the metrics."""
        self.trainable.evaluate(batch)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The recipe's optimizer and per-step schedule."""
        optimizer, scheduler = self.trainable.configure_optimizer(ranks=self.trainer.world_size)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One optimizer step, and after it the averaged weights'."""
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            self.average.update(self.trainable.network)

    def setup(self, stage: str) -> None:
        """Check that each target has its metric."""
        self.trainable.require_metrics()

    def on_train_start(self) -> None:
        """Begin without anything carried over."""
        self.trainable.reset_state()

    def on_validation_epoch_start(self) -> None:
        """Start every metric from nothing, on the module's device; evaluate averaged weights where there are any."""
        self.trainable.reset_state()
        self.trainable.reset_metrics(self.device)
        if self.average is not None:
            self.average.swap(self.trainable.network)

    def on_validation_epoch_end(self) -> None:
        """Log each metric as `quality/<name>`; torchmetrics joins the ranks' states."""
        if self.average is not None:
            self.average.swap(self.trainable.network)
        self.trainable.reset_state()
        for name, metric in self.trainable.metrics.items():
            # In float64, as targets are: in float32 a share that equals its target can fall short of it.
            self.log(f"quality/{name}", torch.as_tensor(metric.compute()).cpu().double(), rank_zero_only=False)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the one Lightning sets dozens of times per step goes past torch's search for modules."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

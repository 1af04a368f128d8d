"""A `Trainable` as Lightning trains it: its loss, its optimizer, its metrics as `quality/<name>`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import Metric

from hardware.precision.loss_scale import loss_scale, step_was_skipped
from models.datasets.base import Batch
from models.trainable import Trainable
from runner.frameworks.averaging import WeightAverage
from runner.frameworks.lightning.communication import MeetingMarks


class TrainableModule(pl.LightningModule):
    """Knows Lightning, so that no model needs to."""

    def __init__(self, trainable: Trainable, *, batches: int = 1) -> None:
        """Take the model; `batches` of one pass, over all ranks."""
        super().__init__()
        self._batches = batches
        self.trainable = trainable
        self.average = self._new_average()
        self.skipped: Tensor | bool | None = None
        """Whether the gradient scaler left the weights alone in the last step, on the device; None without a scaler."""
        self.forward_marks: MeetingMarks | None = None
        """Is told where forward passes begin and end; None of a single rank."""

    def _new_average(self) -> WeightAverage | None:
        decay = self.trainable.recipe.training.regularisation.ema_decay
        return None if decay is None else WeightAverage(self.trainable.network, decay)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one pass."""
        if self.forward_marks is None:
            return self.trainable.loss(batch)
        self.forward_marks.begin_forward()
        loss = self.trainable.loss(batch)
        self.forward_marks.end_forward()
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the metrics."""
        self.trainable.evaluate(batch)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The recipe's optimizer and per-step schedule."""
        optimizer, scheduler = self.trainable.configure_optimizer(batches=self._batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """One optimizer step, and after it the averaged weights'.

        Gradients are freed right after the step, as a plain loop does, not after the next forward pass: kept through
        it, they cost memory at its peak; on a CPU the allocator then gives pages back and faults them in again in every
        step, which takes a few percent.
        """
        plugin = self.trainer.strategy.precision_plugin
        before = loss_scale(plugin)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        after = loss_scale(plugin)
        self.skipped = None if before is None or after is None else step_was_skipped(before, after)
        optimizer.zero_grad()
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
            self.log(f"quality/{name}", self._value(metric), rank_zero_only=False)

    def _value(self, metric: Metric) -> Tensor:
        """In float64, as targets are: in float32 a share that equals its target can fall short of it."""
        return torch.as_tensor(metric.compute()).cpu().double()

"""The contract of a model: one LightningModule that knows its loss, its quality, its data and its counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import Metric

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.spec import DataSpec
from models.optimizers import build_optimizer, build_scheduler
from models.recipe import Recipe


class Workload(pl.LightningModule, ABC):
    """A model as it is benchmarked.

    A subclass builds `self.network` from `recipe.architecture` with random weights (never a download), fills
    `self.metrics` with one torchmetrics `Metric` for each name in `recipe.quality.targets`, and gives the loss.
    It must build under `torch.device("meta")`, so that parameters and FLOPs can be counted without memory.
    Nothing here names a vendor or a device: the runner places the module.
    """

    network: nn.Module
    """What is compiled, counted and saved; `training_step` and `validation_step` call it."""
    count_device: str = "meta"
    """Where FLOPs are counted: `cpu` for models whose shapes depend on the data, such as detectors."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.metrics: dict[str, Metric] = {}

    @abstractmethod
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Forward pass; returns the scalar loss. No `.item()`, no logging: it runs inside the window."""

    @abstractmethod
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update every metric in `self.metrics` from one evaluation batch."""

    @abstractmethod
    def datasets(self, spec: DataSpec) -> Datasets:
        """Training and evaluation examples for `data=sample` and `data=dataset`.

        Raises:
            DataError: a file is missing or malformed; names the file, the expected layout and where to get it.
        """

    @abstractmethod
    def collate(self, examples: list[Any]) -> Batch:
        """Join examples of `datasets` into one batch on the host."""

    @abstractmethod
    def synthetic_batch(self, batch_size: int) -> Batch:
        """A random batch of the right shapes and dtypes on torch's current default device.

        For `data=synthetic` and for counting; on the meta device it holds shapes alone.
        """

    @abstractmethod
    def count(self, batch: Batch) -> Counts:
        """Samples and tokens in a batch, from its shapes and host integers: never waits for the device."""

    def counting(self) -> AbstractContextManager[None]:
        """In force while a training step is counted; for models whose work depends on values that noise has not."""
        return nullcontext()

    def decay_groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Parameters with and without weight decay. By default biases and one-dimensional weights are not decayed."""
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        return [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The recipe's optimizer and per-step schedule, in Lightning's form."""
        optimizer = build_optimizer(self.recipe.optimizer, *self.decay_groups())
        scheduler = build_scheduler(self.recipe.schedule, optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the one Lightning sets dozens of times per step goes past torch's search for modules."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def setup(self, stage: str) -> None:
        """Check that each target has its metric, then place metrics where the module is."""
        missing = set(self.recipe.quality.targets) - set(self.metrics)
        if missing:
            known = ", ".join(sorted(self.metrics))
            raise ValueError(f"model.quality.targets names {sorted(missing)}; {self.recipe.name} measures: {known}")

    def on_validation_epoch_start(self) -> None:
        """Start every metric from nothing, on the module's device."""
        for metric in self.metrics.values():
            metric.to(self.device)
            metric.reset()

    def on_validation_epoch_end(self) -> None:
        """Log each metric as `quality/<name>`; torchmetrics joins the ranks' states."""
        for name, metric in self.metrics.items():
            value = metric.compute()
            # In float64, as targets are: in float32 a share that equals its target can fall short of it.
            self.log(f"quality/{name}", torch.as_tensor(value).cpu().double(), rank_zero_only=False)

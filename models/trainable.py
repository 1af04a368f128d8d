"""What training adds to a model: its loss, its quality, its data, its optimizer."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer as TorchOptimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric

from models.contract import Model
from models.datasets.base import Batch, Datasets
from models.datasets.spec import DataSpec
from models.optimizers import build_optimizer, build_scheduler
from models.recipe import Recipe


class Trainable(Model):
    """A model with the case it is trained in.

    A subclass fills `self.metrics` with one torchmetrics `Metric` for each name in the recipe's quality targets.
    Everything that is trained lies in `self.network`.
    """

    regularisations: ClassVar[frozenset[str]] = frozenset()
    """Fields of `model.train.regularisation` that `loss` honours; `ema_decay` is the framework's and works for all."""
    evaluates_by_generating: ClassVar[bool] = False
    """Whether `evaluate` runs the network as often as the answers are long, which differs from batch to batch."""

    def __init__(self, recipe: Recipe) -> None:
        """Prepare an empty set of metrics.

        Raises:
            ValueError: the recipe asks for a regularisation that this model does not do.
        """
        super().__init__(recipe)
        self.metrics: dict[str, Metric] = {}
        if recipe.train is None:  # it is only served
            return
        asked = recipe.train.regularisation
        for name in ("label_smoothing", "mixup_alpha", "cutmix_alpha"):
            if getattr(asked, name) and name not in self.regularisations:
                raise ValueError(f"model.train.regularisation.{name} is not done by model={recipe.name}")

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """The scalar loss of one forward pass. No `.item()`, no logging: it runs inside the window."""

    @abstractmethod
    def evaluate(self, batch: Batch) -> None:
        """Update every metric in `self.metrics` from one evaluation batch."""

    @abstractmethod
    def datasets(self, spec: DataSpec) -> Datasets:
        """Training and evaluation examples for `data=sample` and `data=dataset`.

        With `model.train.batching.by=size` the training data has a method `sizes()`, the size of each example; with
        `by=aspect` a method `aspect_ratios()`, the width ÷ height of each image.

        Raises:
            DataError: a file is missing or malformed; names the file, the expected layout and where to get it.
        """

    @abstractmethod
    def collate(self, examples: list[Any]) -> Batch:
        """Join examples of `datasets` into one batch on the host."""

    def counting(self) -> AbstractContextManager[None]:
        """In force while a training step is counted; for models whose work depends on values that noise has not."""
        return nullcontext()

    def configure_optimizer(self, *, batches: int = 1) -> tuple[TorchOptimizer, LRScheduler]:
        """The recipe's optimizer, and its schedule to be stepped once per optimizer step.

        Args:
            batches: of one pass, over all ranks; the length of an epoch in steps depends on it.
        """
        recipe = self.recipe.training
        optimizer = build_optimizer(recipe.optimizer, self.network.named_parameters())
        epoch = recipe.steps_per_epoch(batches)
        return optimizer, build_scheduler(recipe.schedule, optimizer, steps_per_epoch=epoch)

    def reset_metrics(self, device: torch.device) -> None:
        """Start every metric from nothing, on `device`."""
        for metric in self.metrics.values():
            metric.to(device)
            metric.reset()

    def reset_state(self) -> None:
        """Forget what is carried from batch to batch: before training, and before and after every evaluation.

        For models that read a text in pieces, such as Transformer-XL; the others carry nothing.
        """

    def require_metrics(self) -> None:
        """Check that each target has its metric.

        Raises:
            ValueError: names the targets without one, and the metrics there are.
        """
        missing = set(self.recipe.training.quality.targets) - set(self.metrics)
        if missing:
            known = ", ".join(sorted(self.metrics))
            raise ValueError(
                f"model.train.quality.targets names {sorted(missing)}; {self.recipe.name} measures: {known}"
            )

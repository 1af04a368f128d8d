"""Trainables small enough to be counted by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from toy import changed

from models.costs.account import Account, count
from models.datasets.base import Batch, Counts, Datasets
from models.datasets.spec import DataSpec
from models.recipe import Recipe
from models.trainable import Trainable
from models.training import Optimizer, Quality, Schedule, Training

SGD = Optimizer(name="sgd", lr=0.1, momentum=0.9)


def recipe(optimizer: Optimizer = SGD, **changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "double",
        "implementations": {},
        "unit": "rows",
        "architecture": {},
        "dataset": "none",
        "train": Training(
            batch_size=8,
            optimizer=optimizer,
            schedule=Schedule(name="constant"),
            quality=Quality(targets={"accuracy": 1.0}, mode="max", every_samples=1),
            max_train_samples=1,
        ),
    }
    return changed(Recipe(**values), **changes)


def account(trainable: type[Trainable], *, model: Recipe | None = None, **options: Any) -> Account:
    given: dict[str, Any] = {"weights_dtype": "float32", "autocast_dtype": None, **options}
    return count(trainable, model or recipe(), **given)


class Double(Trainable):
    """A subclass gives `network` and `input_shape`; the loss is the sum of what the network returns."""

    input_shape: tuple[int, ...] = (10,)

    def __init__(self, model: Recipe) -> None:
        super().__init__(model)
        self.network = self.build()

    def build(self) -> nn.Module:
        raise NotImplementedError

    def loss(self, batch: Batch) -> Tensor:
        total: Tensor = self.network(batch["x"]).sum()
        return total

    def evaluate(self, batch: Batch) -> None:
        raise AssertionError("counting does not evaluate")

    def datasets(self, spec: DataSpec) -> Datasets:
        raise AssertionError("counting reads no data")

    def collate(self, examples: list[Any]) -> Batch:
        raise AssertionError("counting reads no data")

    def synthetic_batch(self, batch_size: int) -> Batch:
        return {"x": torch.randn(batch_size, *self.input_shape), "count": batch_size}

    def count(self, batch: Batch) -> Counts:
        return Counts(samples=batch["count"])


class Mlp(Double):
    """325 parameters: 10 to 20 to 5 with biases."""

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))

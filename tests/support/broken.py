"""Trainables that fail as real ones do, each in its own way."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import torch
from torch import Tensor
from toy import Toy

from models.datasets.base import Batch, DataError, Datasets
from models.datasets.spec import DataSpec
from models.recipe import Recipe
from models.trainable import Trainable

TOO_LARGE = 2**55


class OutOfMemoryAtBuild(Toy):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        if torch.get_default_device().type != "meta":
            self.ballast = torch.empty(TOO_LARGE)


class OutOfMemoryAtStep1(Toy):
    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) + torch.empty(TOO_LARGE).sum()


class NotANumber(Toy):
    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) * float("nan")


class AtPass(Toy):
    """Does something at its eighth pass."""

    def act(self) -> None:
        raise NotImplementedError

    def loss(self, batch: Batch) -> Tensor:
        if self.passes == 7:
            self.act()
        return super().loss(batch)


class Killed(AtPass):
    def act(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Stuck(AtPass):
    def act(self) -> None:
        time.sleep(600)


class NoData(Toy):
    def datasets(self, spec: DataSpec) -> Datasets:
        raise DataError("no shard was found", where="/data/none", expected="train/*.hdf5", source="its publisher")


class Unforeseen(Toy):
    def loss(self, batch: Batch) -> Tensor:
        raise RuntimeError("something nobody thought of")


class NeedsPackage(Toy):
    def datasets(self, spec: DataSpec) -> Datasets:
        import package_that_does_not_exist  # type: ignore[import-not-found]

        return package_that_does_not_exist.datasets()  # type: ignore[no-any-return]


class Hopeless(Toy):
    """Its error never falls below the target."""

    def evaluate(self, batch: Batch) -> None:
        self.metrics["error"].update(1.0)


class WrongArchitecture(Trainable):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        raise ValueError("architecture.width is missing")

    loss = evaluate = datasets = collate = synthetic_batch = count = Any  # type: ignore[assignment]


class Uncountable(Toy):
    """Trains, but has no batch to be counted with."""

    def synthetic_batch(self, batch_size: int) -> Batch:
        raise RuntimeError("no formula for this operator")


class Limited(Toy):
    """Runs out of memory, as the device's allocator says it, with more rows than its width allows: 10 times as many."""

    def loss(self, batch: Batch) -> Tensor:
        loss = super().loss(batch)
        rows = len(batch["x"])
        if rows > 10 * int(self.recipe.architecture["width"]):
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {rows} rows")
        return loss

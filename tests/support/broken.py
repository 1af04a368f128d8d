"""Workloads that fail as real ones do, each in its own way."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import torch
from torch import Tensor
from toy import Toy

from models.base import Workload
from models.datasets.base import Batch, DataError, Datasets
from models.datasets.spec import DataSpec
from models.recipe import Recipe

TOO_LARGE = 2**55


class OutOfMemoryAtBuild(Toy):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        if torch.get_default_device().type != "meta":
            self.ballast = torch.empty(TOO_LARGE)


class OutOfMemoryAtStep1(Toy):
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx) + torch.empty(TOO_LARGE).sum()


class NotANumber(Toy):
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx) * float("nan")


class Killed(Toy):
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if batch_idx == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().training_step(batch, batch_idx)


class Stuck(Toy):
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if batch_idx == 7:
            time.sleep(600)
        return super().training_step(batch, batch_idx)


class NoData(Toy):
    def datasets(self, spec: DataSpec) -> Datasets:
        raise DataError("no shard was found", where="/data/none", expected="train/*.hdf5", source="its publisher")


class Unforeseen(Toy):
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        raise RuntimeError("something nobody thought of")


class NeedsPackage(Toy):
    def datasets(self, spec: DataSpec) -> Datasets:
        import package_that_does_not_exist  # type: ignore[import-not-found]

        return package_that_does_not_exist.datasets()  # type: ignore[no-any-return]


class Hopeless(Toy):
    """Its error never falls below the target."""

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.metrics["error"].update(1.0)


class WrongArchitecture(Workload):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        raise ValueError("architecture.width is missing")

    training_step = validation_step = datasets = collate = synthetic_batch = count = Any  # type: ignore[assignment]


class Uncountable(Toy):
    """Trains, but has no batch to be counted with."""

    def synthetic_batch(self, batch_size: int) -> Batch:
        raise RuntimeError("no formula for this operator")

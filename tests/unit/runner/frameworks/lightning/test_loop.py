"""The training loop: Lightning's own, in which a step waits for nothing."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from packaging.requirements import Requirement
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from toy import Toy, lone_context, toy_case

from hardware.vendors.cpu import Cpu
from models.training import Regularisation
from runner.frameworks.lightning.loop import TrainingLoop
from runner.frameworks.lightning.module import TrainableModule
from runner.frameworks.lightning.trainer import build_trainer

STEPS = 6


class Watch(pl.Callback):
    """Notes at the end of each pass whether gradients are held, and counts what would make a step wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held: list[bool] = []
        self.waits: list[str] = []
        for holder, name in ((torch.distributed, "broadcast"), (torch.Tensor, "item"), (torch.Tensor, "tolist")):
            monkeypatch.setattr(holder, name, self._noting(name, getattr(holder, name)))

    def _noting(self, name: str, real: Any) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            self.waits.append(name)
            return real(*args, **kwargs)

        return noted

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.waits.clear()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.held.append(any(parameter.grad is not None for parameter in pl_module.parameters()))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.waits_in_training = list(self.waits)


class Fixed:
    """Always the same batches, enough for `STEPS` steps of two passes."""

    def __init__(self, toy: Toy) -> None:
        torch.manual_seed(1)
        self.batches = [toy.synthetic_batch(8) for _ in range(2 * STEPS)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class Stock(TrainableModule):
    """Takes its optimizer steps as Lightning's modules do."""

    optimizer_step = pl.LightningModule.optimizer_step  # type: ignore[assignment]


def fit(
    folder: Path, callback: pl.Callback, *, own: bool, module: type[TrainableModule] = TrainableModule, **recipe: Any
) -> Toy:
    """Train the toy for `STEPS` optimizer steps in our loop or in the one that Lightning ships."""
    asked = toy_case(**recipe)
    device = Cpu(asked.vendor)
    device.connect()
    trainer = build_trainer(lone_context(asked, folder, device), [], max_steps=STEPS)
    trainer.callbacks = [callback]
    assert isinstance(trainer.fit_loop.epoch_loop, TrainingLoop)
    assert trainer.fit_loop.epoch_loop.max_steps == STEPS
    if not own:
        trainer.fit_loop.epoch_loop = _TrainingEpochLoop(trainer, max_steps=STEPS)
    torch.manual_seed(0)
    trained = Toy(asked.model)
    trainer.fit(module(trained), train_dataloaders=Fixed(trained))
    assert trainer.global_step == STEPS
    return trained


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"gradient_accumulation_steps": 2},
        {"max_grad_norm": 0.05},
        {"gradient_accumulation_steps": 2, "max_grad_norm": 0.05},
    ],
)
def test_weights_are_those_of_lightnings_own_loop_and_step(recipe: dict[str, Any], tmp_path: Path) -> None:
    ours = fit(tmp_path / "a", pl.Callback(), own=True, **recipe)
    theirs = fit(tmp_path / "b", pl.Callback(), own=False, module=Stock, **recipe)
    assert torch.equal(ours.network.weight, theirs.network.weight)
    torch.manual_seed(0)
    assert not torch.equal(ours.network.weight, Toy(ours.recipe).network.weight), "nothing was trained"


def test_gradients_are_freed_after_the_step_and_kept_while_accumulating(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, accumulate, held in (("a", 1, [False] * STEPS), ("b", 2, [True, False] * STEPS)):
        watch = Watch(monkeypatch)
        fit(tmp_path / name, watch, own=True, gradient_accumulation_steps=accumulate)
        assert watch.held == held
    watch = Watch(monkeypatch)
    fit(tmp_path / "c", watch, own=True, module=Stock)
    assert all(watch.held), "Lightning now frees them by itself: optimizer_step need not"


class Averages(pl.Callback):
    """Notes the weights after each step, and the module's average of them at the end."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.weights = [next(pl_module.trainable.network.parameters()).detach().clone()]

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.weights.append(next(pl_module.trainable.network.parameters()).detach().clone())

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.average = pl_module.average.average_0.clone()


def test_averaged_weights_follow_every_step(tmp_path: Path) -> None:
    noted = Averages()
    fit(tmp_path, noted, own=True, regularisation=Regularisation(ema_decay=0.75))
    expected, *steps = noted.weights
    for weight in steps:
        expected = 0.75 * expected + 0.25 * weight
    assert len(steps) == STEPS and torch.allclose(noted.average, expected)
    assert not torch.allclose(noted.average, steps[-1])


def test_a_step_of_several_ranks_neither_broadcasts_nor_reads_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_rank: None
) -> None:
    monkeypatch.setattr(pl.Trainer, "world_size", 2)  # what Lightning's loop asks before it broadcasts
    waits = {}
    for own in (True, False):
        watch = Watch(monkeypatch)
        fit(tmp_path / str(own), watch, own=own)
        waits[own] = watch.waits_in_training
    assert waits[True] == []
    broadcasts = hasattr(_TrainingEpochLoop, "_broadcast_sigterm_tensor")
    assert waits[False] == ["broadcast", "item"] * STEPS * broadcasts


def test_the_supported_lightnings_are_those_that_the_private_names_were_read_in() -> None:
    """The lowest one does not broadcast; in the newest one the override is needed. Both passed this file's tests."""
    lowest, newest = "2.4.0", "2.6.6"
    told = tomllib.loads((Path(__file__).parents[5] / "pyproject.toml").read_text())["project"]["dependencies"]
    (lightning,) = (one for one in map(Requirement, told) if one.name == "pytorch-lightning")
    assert {*lightning.specifier.filter([lowest, newest, pl.__version__])} == {lowest, newest, pl.__version__}
    assert not lightning.specifier.contains("2.3.3") and not lightning.specifier.contains("2.7.0")
    if pl.__version__ == newest:
        assert hasattr(_TrainingEpochLoop, "_broadcast_sigterm_tensor")


@pytest.fixture
def one_rank(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()

"""The training loop: Lightning's own, in which a step waits for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from toy import Toy, lone_context, toy_case

from hardware.vendors.cpu import Cpu
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


def fit(
    folder: Path, callback: pl.Callback, *, own: bool, module: type[TrainableModule] = TrainableModule, **recipe: Any
) -> Toy:
    """Train the toy for `STEPS` optimizer steps in our loop or in Lightning's."""
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
def test_weights_are_those_of_lightnings_own_loop(
    recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = (("a", True), ("b", False))
    ours, theirs = (fit(tmp_path / name, Watch(monkeypatch), own=own, **recipe) for name, own in sides)
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
    fit(tmp_path / "c", watch, own=False)
    assert all(watch.held), "Lightning now frees them by itself: Optimization is not needed any more"


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
    assert waits[False] == ["broadcast", "item"] * STEPS, "Lightning does so no more: the override is not needed"


@pytest.fixture
def one_rank(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()

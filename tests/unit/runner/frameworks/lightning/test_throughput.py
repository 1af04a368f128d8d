"""The window on a device whose clock moves by hand: every figure can be computed on paper."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from toy import ManualClock, ManualDevice, Toy, lone_context, toy_case

from hardware.precision.plugins import build_plugin
from hardware.spec import PrecisionSpec
from models.datasets.base import Batch
from models.training import Schedule
from runner.core.errors import DivergedError
from runner.core.events import Event, Name, read_events
from runner.frameworks.lightning.convergence import Convergence
from runner.frameworks.lightning.loop import TrainingLoop
from runner.frameworks.lightning.module import TrainableModule
from runner.frameworks.lightning.throughput import Throughput
from runner.measure.step_records import StepsFile
from runner.measure.window import steps_for

STEP_S, LOAD_S, BATCH = 0.1, 0.025, 8
FP16 = PrecisionSpec(name="fp16", weights="float32", autocast="float16", matmul="ieee", loss_scaling=True)


class SlowLoader:
    """Batches that take `load_s` of the manual clock to come."""

    def __init__(self, clock: ManualClock, load_s: float, batch: Batch) -> None:
        self.clock, self.load_s, self.batch = clock, load_s, batch

    def __iter__(self) -> Iterator[Batch]:
        while True:
            self.clock.advance(self.load_s)
            yield self.batch


class Once:
    """A single evaluation batch."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __iter__(self) -> Iterator[Batch]:
        return iter([self.batch])

    def __len__(self) -> int:
        return 1


class Run:
    """One training run on the manual clock."""

    def __init__(
        self,
        folder: Path,
        *,
        load_s: float = LOAD_S,
        trainable: type[Toy] = Toy,
        scaler: Any = None,
        options: dict[str, Any] | None = None,
        **changes: Any,
    ) -> None:
        self.case = toy_case(**changes)
        self.clock = ManualClock()
        self.device = ManualDevice(self.clock)
        self.marks: list[str] = []
        StepsFile.create(folder / "steps.csv")
        context = lone_context(self.case, folder, self.device, mark=self.mark)
        window = self.case.measure.window
        self.throughput = Throughput(
            context,
            lambda step_s, steps, seconds: steps_for(window, step_s, done_steps=steps, done_s=seconds),
            clock=self.clock,
        )
        torch.manual_seed(0)
        model = trainable(self.case.model, clock=self.clock, step_s=STEP_S)
        loader = SlowLoader(self.clock, load_s, model.synthetic_batch(self.case.model.training.batch_size))
        self.model = model
        self.convergence = Convergence(context, self.throughput)
        trainer = pl.Trainer(
            accelerator="cpu",
            callbacks=[self.convergence, self.throughput],
            plugins=[build_plugin(FP16, device_type="cpu", make_scaler=lambda _: scaler)] if scaler else None,
            logger=False,
            accumulate_grad_batches=self.case.model.training.gradient_accumulation_steps,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **{"max_steps": -1, **(options or {})},
        )
        trainer.fit_loop.epoch_loop = TrainingLoop(trainer)
        try:
            evaluation = Once(model.synthetic_batch(BATCH)) if options else None
            trainer.fit(TrainableModule(model), train_dataloaders=loader, val_dataloaders=evaluation)
        finally:
            self.events: list[Event] = read_events(folder / "events" / "rank0.log")[0]
            with (folder / "steps.csv").open(newline="") as file:
                self.rows = list(csv.DictReader(file))

    def mark(self, name: str) -> float:
        self.marks.append(name)
        return time.monotonic()

    def only(self, name: Name) -> dict[str, Any]:
        found = [event.value for event in self.events if event.name == name]
        assert len(found) == 1, (name, found)
        return found[0]


def test_throughput_equals_the_count_by_hand(tmp_path: Path) -> None:
    segment = Run(tmp_path).only(Name.SEGMENT_END)
    assert segment["samples"] == segment["steps"] * BATCH
    assert segment["tokens"] == 2 * segment["samples"]
    assert segment["seconds"] == pytest.approx(segment["steps"] * (STEP_S + LOAD_S))
    assert segment["samples"] / segment["seconds"] == pytest.approx(BATCH / (STEP_S + LOAD_S))
    assert segment["samples"] / segment["core_s"] == pytest.approx(BATCH / STEP_S)


def test_throughput_does_not_depend_on_the_number_of_steps(tmp_path: Path) -> None:
    rates = []
    for steps in (10, 100):
        folder = tmp_path / str(steps)
        folder.mkdir()
        segment = Run(folder, min_steps=steps).only(Name.SEGMENT_END)
        assert segment["steps"] == steps
        rates.append(segment["samples"] / segment["seconds"])
    assert rates[0] == pytest.approx(rates[1])


def test_slow_data_lowers_train_but_not_core(tmp_path: Path) -> None:
    rates = {}
    for name, load_s in (("fast", 0.0), ("slow", 0.3)):
        folder = tmp_path / name
        folder.mkdir()
        totals = Run(folder, load_s=load_s).only(Name.TRAIN_END)
        trained_s = totals["training_s"] - totals["evaluate_s"]
        rates[name] = (totals["samples"] / trained_s, totals["samples"] / totals["core_s"])
    assert rates["slow"][0] == pytest.approx(rates["fast"][0] * STEP_S / (STEP_S + 0.3), rel=0.02)
    assert rates["slow"][1] == pytest.approx(rates["fast"][1])


def test_accumulation_makes_one_step_of_several_passes(tmp_path: Path) -> None:
    run = Run(tmp_path, gradient_accumulation_steps=4)
    segment = run.only(Name.SEGMENT_END)
    assert segment["samples"] == segment["steps"] * 4 * BATCH
    step = next(row for row in run.rows if row["phase"] == "window")
    assert float(step["seconds"]) == pytest.approx(4 * (STEP_S + LOAD_S))
    assert float(step["core_seconds"]) == pytest.approx(4 * STEP_S)


def test_nothing_waits_for_the_device_inside_the_window(tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    few.mkdir()
    many.mkdir()
    assert Run(few, min_steps=10).device.synchronizations == Run(many, min_steps=200).device.synchronizations


def test_the_window_is_marked_for_the_meters_and_every_step_is_kept(tmp_path: Path) -> None:
    run = Run(tmp_path, min_steps=30)
    assert run.marks == ["segment_begin:0", "segment_end:0"]
    phases = [row["phase"] for row in run.rows]
    assert phases.count("window") == 30
    assert [int(row["step"]) for row in run.rows] == list(range(1, len(run.rows) + 1))
    assert all(math.isfinite(float(row["loss"])) for row in run.rows)


def test_events_of_steps_carry_their_own_time(tmp_path: Path) -> None:
    told = [event for event in Run(tmp_path, min_steps=30).events if event.name == Name.STEP_END]
    window = [event for event in told if event.value["phase"] == "window"]
    gaps = [after.monotonic_s - before.monotonic_s for before, after in pairwise(window)]
    assert gaps == pytest.approx([STEP_S + LOAD_S] * len(gaps))


class Unmarked(ManualDevice):
    """An asynchronous device whose stack has no events: marks on the host's clock stand in."""

    def times_on_device(self) -> bool:
        return False


def test_without_device_events_no_step_and_no_core_has_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the host's clock says between two marks is how long a step took to hand over, not to do."""
    monkeypatch.setattr("test_throughput.ManualDevice", Unmarked)
    run = Run(tmp_path)
    segment = run.only(Name.SEGMENT_END)
    assert segment["seconds"] == pytest.approx(segment["steps"] * (STEP_S + LOAD_S)), "its edges wait for the device"
    assert segment["core_s"] is None and run.only(Name.TRAIN_END)["core_s"] is None
    assert {(row["seconds"], row["core_seconds"]) for row in run.rows} == {("", "")}
    assert all(math.isfinite(float(row["loss"])) for row in run.rows)
    steps = [event.value for event in run.events if event.name == Name.STEP_END]
    assert steps and all(step["seconds"] is None and step["samples_per_second"] is None for step in steps)


class Diverging(Toy):
    """A loss that stops being a number in its 9th step."""

    def loss(self, batch: Batch) -> Tensor:
        loss = super().loss(batch)
        return loss * float("nan") if self.passes > 8 else loss


def test_a_loss_that_is_no_number_ends_the_run_and_names_the_step(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="step 9"):
        Run(tmp_path, trainable=Diverging)


def overflowing(steps: set[int] | range) -> type[Toy]:
    """A trainable with a finite loss whose gradients are not finite in these steps, counted from 1."""

    class Overflowing(Toy):
        def loss(self, batch: Batch) -> Tensor:
            loss = super().loss(batch)
            if self.passes in steps:
                loss.register_hook(lambda gradient: gradient * float("nan"))
            return loss

    return Overflowing


class NewScale(torch.amp.GradScaler):
    """Makes a new tensor of its scale in every update, as some vendors' scalers do."""

    def update(self, new_scale: Any = None) -> None:
        super().update(new_scale)
        self._scale = self._scale.clone()


class PlainScale:
    """A scaler of its own making, which tells its scale by `get_scale` alone."""

    def __init__(self, device: str, **options: Any) -> None:
        self._inner = torch.amp.GradScaler(device, **options)

    def __getattr__(self, name: str) -> Any:
        if name not in ("is_enabled", "get_scale", "scale", "unscale_", "step", "update", "state_dict"):
            raise AttributeError(name)
        return getattr(self._inner, name)


@pytest.mark.parametrize("kind", [torch.amp.GradScaler, NewScale, PlainScale])
def test_steps_that_the_scaler_skipped_are_no_steps_and_no_samples(tmp_path: Path, kind: Any) -> None:
    # Warm-up is 2 blocks of 2 steps; steps 1, 7, 8 and 20 are skipped, the last three inside the window.
    run = Run(tmp_path, trainable=overflowing({1, 7, 8, 20}), scaler=kind("cpu", init_scale=1024.0), min_steps=20)
    segments = [event.value for event in run.events if event.name == Name.SEGMENT_END]
    assert [segment["steps"] for segment in segments] == [20 - 3, 3], "a second segment takes the three that lack"
    assert [segment["samples"] for segment in segments] == [17 * BATCH, 3 * BATCH]
    assert sum(segment["seconds"] for segment in segments) == pytest.approx(23 * (STEP_S + LOAD_S))
    totals = run.only(Name.TRAIN_END)
    assert (totals["steps"], totals["skipped_steps"], totals["samples"]) == (23, 4, 23 * BATCH)
    assert [int(row["step"]) for row in run.rows if row["samples"] == "0"] == [1, 7, 8, 20]
    assert [int(row["step"]) for row in run.rows] == list(range(1, 28))


def test_without_a_scaler_no_step_is_skipped(tmp_path: Path) -> None:
    assert Run(tmp_path).only(Name.TRAIN_END)["skipped_steps"] == 0


def test_a_fresh_scaler_may_search_its_scale(tmp_path: Path) -> None:
    totals = Run(tmp_path, trainable=overflowing(range(1, 17)), scaler=torch.amp.GradScaler("cpu")).only(Name.TRAIN_END)
    assert (totals["steps"], totals["skipped_steps"]) == (20 + 2 + 2, 16)


@pytest.mark.parametrize(
    ("steps", "at"), [(range(1, 1000), "17 optimizer steps in a row up to step 17"), (range(9, 1000), "up to step 25")]
)
def test_nothing_but_skips_is_divergence(tmp_path: Path, steps: range, at: str) -> None:
    with pytest.raises(DivergedError, match=f"scaler skipped .*{at}"):
        Run(tmp_path, trainable=overflowing(steps), scaler=torch.amp.GradScaler("cpu"))


def test_a_spike_of_the_gradients_may_take_as_many_halvings(tmp_path: Path) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    totals = Run(tmp_path, trainable=overflowing(range(7, 12)), scaler=scaler).only(Name.TRAIN_END)
    assert totals["skipped_steps"] == 5, "as WaveGlow does in float16 on an H100"


def test_a_block_of_skips_says_nothing_about_the_speed(tmp_path: Path) -> None:
    run = Run(tmp_path, trainable=overflowing(range(1, 5)), scaler=torch.amp.GradScaler("cpu"))
    assert run.only(Name.WARMUP_END)["steps"] == 4 + 2 * 2


def test_skips_are_told_without_waiting_for_the_device(tmp_path: Path) -> None:
    waits = []
    for steps in (20, 200):
        folder = tmp_path / str(steps)
        folder.mkdir()
        run = Run(folder, trainable=overflowing({1}), scaler=torch.amp.GradScaler("cpu"), min_steps=steps)
        waits.append(run.device.synchronizations)
    assert waits[0] == waits[1]


def test_a_step_is_told_with_the_rate_it_was_taken_with(tmp_path: Path) -> None:
    run = Run(tmp_path, schedule=Schedule(name="constant", warmup=4))
    told = [event.value["learning_rate"] for event in run.events if event.name == Name.STEP_END]
    assert told[:6] == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


class SlowEvaluation(Toy):
    """Takes 3 s of the manual clock to evaluate, and never reaches its target."""

    def evaluate(self, batch: Batch) -> None:
        assert self._clock is not None
        self._clock.advance(3.0)
        self.metrics["error"].update(1.0)


def test_the_checkpoint_of_an_evaluation_counts_it(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    options = {"max_steps": 20, "val_check_interval": 10, "check_val_every_n_epoch": None, "num_sanity_val_steps": 0}
    run = Run(tmp_path, trainable=SlowEvaluation, options=options, min_steps=1000)
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]["Throughput"]
    assert saved["evaluate_s"] == pytest.approx(2 * 3.0)
    assert saved["training_s"] == pytest.approx(20 * (STEP_S + LOAD_S) + 2 * 3.0)
    assert run.only(Name.TRAIN_END)["evaluate_s"] == pytest.approx(2 * 3.0)

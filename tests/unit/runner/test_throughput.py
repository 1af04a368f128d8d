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
from torch import Tensor
from toy import ManualClock, ManualDevice, Toy, lone_context, toy_case

from models.data.base import Batch
from runner.callbacks.throughput import Throughput
from runner.errors import DivergedError
from runner.events import Event, Name, read_events
from runner.steps_file import StepsFile
from runner.window import steps_for

STEP_S, LOAD_S, BATCH = 0.1, 0.025, 8


class SlowLoader:
    """Batches that take `load_s` of the manual clock to come."""

    def __init__(self, clock: ManualClock, load_s: float, batch: Batch) -> None:
        self.clock, self.load_s, self.batch = clock, load_s, batch

    def __iter__(self) -> Iterator[Batch]:
        while True:
            self.clock.advance(self.load_s)
            yield self.batch


class Run:
    """One training run on the manual clock."""

    def __init__(self, folder: Path, *, load_s: float = LOAD_S, workload: type[Toy] = Toy, **changes: Any) -> None:
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
        model = workload(self.case.model, clock=self.clock, step_s=STEP_S)
        loader = SlowLoader(self.clock, load_s, model.synthetic_batch(self.case.model.batch_size))
        trainer = pl.Trainer(
            accelerator="cpu",
            max_steps=-1,
            callbacks=[self.throughput],
            logger=False,
            accumulate_grad_batches=self.case.model.accumulate,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        try:
            trainer.fit(model, train_dataloaders=loader)
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
    run = Run(tmp_path, accumulate=4)
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

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        return loss * float("nan") if batch_idx >= 8 else loss


def test_a_loss_that_is_no_number_ends_the_run_and_names_the_step(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="step 9"):
        Run(tmp_path, workload=Diverging)

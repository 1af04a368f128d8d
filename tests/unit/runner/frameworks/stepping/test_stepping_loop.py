"""The loop tells the measuring core what Lightning tells it: on a clock that moves by hand, every figure by count."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import ManualClock, ManualDevice, Toy, lone_context, toy_case

from hardware.base import PrecisionUnsupportedError
from models.datasets.base import Batch, Counts
from models.training import Quality, Schedule
from runner.core.events import Event, Name, read_events
from runner.frameworks.base import EvaluationPlan, Outcome
from runner.frameworks.stepping.loop import SteppingLoop
from runner.frameworks.stepping.stepper import Stepper
from runner.measure.ranks import Ranks
from runner.measure.step_records import StepsFile
from runner.measure.window import steps_for

STEP_S, LOAD_S, EVALUATION_S, BATCH = 0.1, 0.025, 3.0, 8


class PlainStepper(Stepper):
    """Plain torch, on the manual clock; `qualities` are what its evaluations find, one after the other."""

    def __init__(self, model: Toy, clock: ManualClock, qualities: Iterable[float] = (), **changes: Any) -> None:
        self.ranks = Ranks()
        self.model, self.clock, self.qualities = model, clock, iter(qualities)
        self.passes = model.recipe.training.gradient_accumulation_steps
        self.optimizer, self.scheduler = model.configure_optimizer()
        self.skips: tuple[int, ...] = changes.get("skips", ())
        self.refuses: bool = changes.get("refuses", False)
        self.calls: list[str] = []
        self.taken = 0

    def verify_precision(self) -> None:
        self.calls.append("precision")
        if self.refuses:
            raise PrecisionUnsupportedError("it is another one")

    def begin_training(self) -> None:
        self.calls.append("begin")

    def placed(self, batch: Batch) -> Batch:
        return batch

    def count(self, batch: Batch) -> Counts:
        return self.model.count(batch)

    def learning_rate(self) -> float:
        return float(self.scheduler.get_last_lr()[0])

    def take_pass(self, batch: Batch) -> Tensor:
        share = self.model.loss(batch) / self.passes
        share.backward()
        if self.model.passes % self.passes == 0:
            self.taken += 1
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.scheduler.step()
        return share.detach()

    @property
    def skipped(self) -> bool:
        return self.taken in self.skips

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        self.calls.append("evaluate")
        self.clock.advance(EVALUATION_S)
        return {"error": next(self.qualities)}

    def save(self, path: Path, state: dict[str, Any]) -> None:
        path.write_text(json.dumps(state))

    def load(self, path: Path) -> dict[str, Any]:
        self.calls.append("load")
        loaded: dict[str, Any] = json.loads(path.read_text())
        return loaded

    def save_weights(self, path: Path) -> None:
        path.write_text("weights")


class PipelineStepper(PlainStepper):
    """Takes all passes of a step in one call, as a pipeline does."""

    passes_per_step = 1

    def next_batch(self, batches: Iterator[Batch]) -> list[Batch]:
        return [self.placed(next(batches)) for _ in range(self.passes)]

    def count(self, batch: Any) -> Counts:
        counts = [self.model.count(one) for one in batch]
        return Counts(sum(one.samples for one in counts), sum(one.tokens or 0 for one in counts))

    def take_pass(self, batch: Any) -> Tensor:
        return torch.stack([super(PipelineStepper, self).take_pass(one) for one in batch]).sum()


class Slow:
    """Batches that take a while to come."""

    def __init__(self, clock: ManualClock, batch: Batch) -> None:
        self.clock, self.batch = clock, batch

    def __iter__(self) -> Iterator[Batch]:
        while True:
            self.clock.advance(LOAD_S)
            yield self.batch


class Run:
    """One part of a training run."""

    def __init__(
        self,
        folder: Path,
        *,
        plan: EvaluationPlan | None = None,
        stepper: dict[str, Any] | None = None,
        kind: type[PlainStepper] = PlainStepper,
        **changes: Any,
    ) -> None:
        case, clock = toy_case(**changes), ManualClock()
        (folder / "checkpoints").mkdir(exist_ok=True)
        self.device, self.marks = ManualDevice(clock), list[str]()
        StepsFile.create(folder / "steps.csv")
        context = lone_context(case, folder, self.device, mark=self.mark)
        window = case.measure.window
        torch.manual_seed(0)
        model = Toy(case.model, clock=clock, step_s=STEP_S)
        self.stepper = kind(model, clock, **(stepper or {}))
        loop = SteppingLoop(
            context,
            self.stepper,
            lambda step_s, steps, seconds: steps_for(window, step_s, done_steps=steps, done_s=seconds),
            clock=clock,
        )
        batches = Slow(clock, model.synthetic_batch(BATCH))
        self.outcome: Outcome | None = None
        try:
            if plan is None:
                loop.train(batches)
            else:
                self.outcome = loop.converge(batches, [], plan)
        finally:
            self.events: list[Event] = read_events(folder / "events" / "rank0.log")[0]
        with (folder / "steps.csv").open(newline="") as file:
            self.rows = list(csv.DictReader(file))

    def mark(self, name: str) -> float:
        self.marks.append(name)
        return time.monotonic()

    def told(self, name: Name) -> list[dict[str, Any]]:
        return [event.value for event in self.events if event.name == name]

    def order(self) -> list[Name]:
        return [event.name for event in self.events if event.name != Name.STEP_END]


def test_throughput_equals_the_count_by_hand(tmp_path: Path) -> None:
    run = Run(tmp_path, min_steps=30)
    (segment,) = run.told(Name.SEGMENT_END)
    assert (segment["steps"], segment["samples"], segment["tokens"]) == (30, 30 * BATCH, 60 * BATCH)
    assert segment["seconds"] == pytest.approx(30 * (STEP_S + LOAD_S))
    assert segment["core_s"] == pytest.approx(30 * STEP_S)
    (totals,) = run.told(Name.TRAIN_END)
    assert (totals["steps"], totals["samples"]) == (34, 34 * BATCH), "two blocks of two steps warmed up"


def test_edges_marks_and_events_come_in_lightnings_order(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.marks == ["train_begin", "segment_begin:0", "segment_end:0", "train_end"]
    assert run.order() == [
        *(Name.TRAIN_START, Name.WARMUP_END, Name.SEGMENT_BEGIN, Name.SEGMENT_END, Name.MEMORY, Name.TRAIN_END)
    ]
    assert run.stepper.calls == ["precision", "begin"]


def test_accumulation_makes_one_step_of_several_passes(tmp_path: Path) -> None:
    run = Run(tmp_path, gradient_accumulation_steps=4)
    (segment,) = run.told(Name.SEGMENT_END)
    assert segment["samples"] == segment["steps"] * 4 * BATCH
    assert segment["seconds"] == pytest.approx(segment["steps"] * 4 * (STEP_S + LOAD_S))


def test_passes_taken_in_one_call_count_and_weigh_as_passes_taken_one_by_one(tmp_path: Path) -> None:
    runs = []
    for kind in (PlainStepper, PipelineStepper):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        runs.append(Run(folder, kind=kind, gradient_accumulation_steps=4, min_steps=10))
    apart, together = runs
    assert [row["samples"] for row in together.rows] == [str(4 * BATCH)] * len(together.rows)
    assert [row["tokens"] for row in together.rows] == [row["tokens"] for row in apart.rows]
    assert [float(row["loss"]) for row in together.rows] == pytest.approx([float(row["loss"]) for row in apart.rows])
    (segment,) = together.told(Name.SEGMENT_END)
    assert segment["seconds"] == pytest.approx(segment["steps"] * 4 * (STEP_S + LOAD_S))
    assert segment["core_s"] == pytest.approx(segment["steps"] * 4 * STEP_S), "loading lies before the mark"


def test_nothing_waits_for_the_device_inside_the_window(tmp_path: Path) -> None:
    waits = []
    for steps in (10, 200):
        folder = tmp_path / str(steps)
        folder.mkdir()
        waits.append(Run(folder, min_steps=steps).device.synchronizations)
    assert waits[0] == waits[1]


def test_a_step_is_told_with_the_rate_it_was_taken_with(tmp_path: Path) -> None:
    run = Run(tmp_path, schedule=Schedule(name="constant", warmup=4))
    assert [event["learning_rate"] for event in run.told(Name.STEP_END)][:5] == pytest.approx(
        [0.025, 0.05, 0.075, 0.1, 0.1]
    )


def test_skipped_steps_are_no_steps_and_no_samples(tmp_path: Path) -> None:
    run = Run(tmp_path, stepper={"skips": (1, 7)}, min_steps=10)
    (totals,) = run.told(Name.TRAIN_END)
    assert (totals["skipped_steps"], totals["samples"]) == (2, totals["steps"] * BATCH)
    assert [row["step"] for row in run.rows if row["samples"] == "0"] == ["1", "7"]


def test_another_precision_ends_the_run_before_anything_expensive(tmp_path: Path) -> None:
    plan = EvaluationPlan(every_steps=10, max_steps=20)
    with pytest.raises(PrecisionUnsupportedError):
        Run(tmp_path, plan=plan, stepper={"refuses": True})
    assert read_events(tmp_path / "events" / "rank0.log")[0] == []


def test_training_ends_at_the_target(tmp_path: Path) -> None:
    plan = EvaluationPlan(every_steps=10, max_steps=50)
    run = Run(tmp_path, plan=plan, stepper={"qualities": [1.0, 0.5, 0.001]}, min_steps=1000)
    assert run.outcome == Outcome(reached=True, best=0.001, steps=20)
    assert run.stepper.calls == ["precision", "evaluate", "begin", "evaluate", "evaluate"]
    assert run.told(Name.INIT_EVALUATION)[0]["quality"] == {"error": 1.0}
    told = [(one["step"], one["quality"], one["reached"], one["best"]) for one in run.told(Name.EVALUATE)]
    assert told == [(10, {"error": 0.5}, False, 0.5), (20, {"error": 0.001}, True, 0.001)]
    assert [one["seconds"] for one in run.told(Name.EVALUATE)] == pytest.approx([EVALUATION_S] * 2)
    assert [one["step"] for one in run.told(Name.CHECKPOINT)] == [10], "nothing goes on from the target"
    assert (tmp_path / "checkpoints" / "reached.ckpt").read_text() == "weights"
    (totals,) = run.told(Name.TRAIN_END)
    assert totals["training_s"] == pytest.approx(20 * (STEP_S + LOAD_S) + 2 * EVALUATION_S)
    assert totals["evaluate_s"] == pytest.approx(2 * EVALUATION_S), "the one before training is in no figure"
    assert run.marks[-2:] == ["target", "train_end"]


def test_the_end_of_the_plan_opens_no_further_segment(tmp_path: Path) -> None:
    plan = EvaluationPlan(every_steps=10, max_steps=20)
    run = Run(tmp_path, plan=plan, stepper={"qualities": [1.0, 0.5, 0.7]}, min_steps=1000)
    assert run.outcome == Outcome(reached=False, best=0.5, steps=20)
    assert len(run.told(Name.SEGMENT_BEGIN)) == len(run.told(Name.SEGMENT_END)) == 2


def test_a_later_part_goes_on_from_the_totals_and_the_best(tmp_path: Path) -> None:
    quality = Quality(targets={"error": 0.01}, mode="min", every_samples=80)
    Run(
        tmp_path,
        plan=EvaluationPlan(every_steps=10, max_steps=20),
        stepper={"qualities": [1.0, 0.2, 0.4]},
        quality=quality,
    )
    run = Run(tmp_path, plan=EvaluationPlan(every_steps=10, max_steps=30, done_steps=20), stepper={"qualities": [0.3]})
    assert run.stepper.calls == ["precision", "load", "begin", "evaluate"], "no evaluation before its first step"
    assert run.outcome == Outcome(reached=False, best=0.2, steps=30)
    assert [int(row["step"]) for row in run.rows] == list(range(1, 31))
    totals = run.told(Name.TRAIN_END)[-1]
    assert (totals["steps"], totals["samples"]) == (30, 30 * BATCH)
    assert totals["training_s"] == pytest.approx(30 * (STEP_S + LOAD_S) + 3 * EVALUATION_S)

"""The measuring core on a clock that moves by hand, without any framework: every figure is counted on paper."""

from __future__ import annotations

import ast
import csv
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import ManualClock, ManualDevice, lone_context, toy_case

import runner.measure
from models.datasets.base import Counts
from runner.core.errors import DivergedError
from runner.core.events import Event, Name, read_events
from runner.measure.edges import Edges
from runner.measure.ranks import Ranks
from runner.measure.session import PlanSegment
from runner.measure.step_records import StepRecord, StepsFile
from runner.measure.totals import SegmentTotals, Totals, join_ranks
from runner.measure.training_session import TrainingSession

LOAD_S, PASS_S, SAMPLES, TOKENS = 0.25, 0.5, 8, 16
"""Powers of two, so that sums are exact."""
STEP_S = LOAD_S + PASS_S


class Loop:
    """A training loop by hand: what any framework does with a session."""

    def __init__(self, folder: Path, plan: PlanSegment, *, device: type[ManualDevice] = ManualDevice, **options: Any):
        self.folder, self.clock = folder, ManualClock()
        self.device = device(self.clock)
        self.marks: list[tuple[str, float]] = []
        self.loss = 0.5
        self.steps = 0
        StepsFile.create(folder / "steps.csv")
        context = replace(lone_context(toy_case(), folder, self.device, mark=self.mark), world=options.pop("world", 1))
        self.passes = options.get("passes_per_step", 1)
        self.session = TrainingSession(context, Ranks(), plan, clock=self.clock, **options)

    def mark(self, name: str) -> float:
        self.marks.append((name, self.clock()))
        return self.clock()

    def step(self, *, skipped: bool | None = None) -> bool:
        """One optimizer step; says whether its segment is full."""
        for _ in range(self.passes):
            self.clock.advance(LOAD_S)
            self.session.begin_pass(Counts(samples=SAMPLES, tokens=TOKENS), 0.0)
            self.clock.advance(PASS_S)
            self.session.end_pass(torch.tensor(self.loss), 0.0)
        self.steps += 1
        return self.session.end_step(0.1, skipped)

    def run(self, *, skipping: frozenset[int] = frozenset(), scaled: bool = False) -> None:
        """Steps until the window is complete; those in `skipping`, counted from 1, leave the weights alone."""
        self.session.begin()
        while not self.session.complete:
            number = self.steps + 1
            if self.step(skipped=number in skipping if scaled or skipping else None):
                self.session.close()
                self.session.open()
        self.session.end()

    def told(self, name: Name) -> list[dict[str, Any]]:
        return [event.value for event in self.events if event.name == name]

    @property
    def events(self) -> list[Event]:
        return read_events(self.folder / "events" / "rank0.log")[0]

    @property
    def rows(self) -> list[dict[str, str]]:
        with (self.folder / "steps.csv").open(newline="") as file:
            return list(csv.DictReader(file))


def once(steps: int) -> PlanSegment:
    """A window of one segment."""
    return lambda step_s, done, seconds: 0 if done else steps


def test_every_figure_of_a_window_by_hand(tmp_path: Path) -> None:
    """Warm-up is two blocks of two steps, as `toy_case` has it; then ten steps are measured."""
    loop = Loop(tmp_path, once(10))
    loop.run()
    (warmup,) = loop.told(Name.WARMUP_END)
    assert warmup == {"steady": True, "steps": 4, "seconds": 4 * 0.75, "reason": None}
    (begun,), (ended,) = loop.told(Name.SEGMENT_BEGIN), loop.told(Name.SEGMENT_END)
    assert begun == {"segment": 0, "planned_steps": 10, "expected_s": 7.5}
    assert ended.pop("own_s") > 0
    measured = {"steps": 10, "samples": 80, "tokens": 160, "core_s": 5.0, "seconds": 7.5}
    assert ended == {"segment": 0, "begin_s": 103.0, "end_s": 110.5, **measured}
    assert loop.marks == [("segment_begin:0", 103.0), ("segment_end:0", 110.5)]
    assert loop.told(Name.TRAIN_START) == [{"step": 0, "samples": 0}]
    (totals,) = loop.told(Name.TRAIN_END)
    counted = {"steps": 14, "skipped_steps": 0, "samples": 112, "tokens": 224}
    assert totals == {**counted, "training_s": 10.5, "evaluate_s": 0.0, "core_s": 7.0}
    assert [row["phase"] for row in loop.rows] == ["warmup"] * 4 + ["window"] * 10
    last = {"rank": "0", "step": "14", "phase": "window", "seconds": "0.75", "core_seconds": "0.5"}
    assert loop.rows[-1] == {
        **last,
        **{"samples": "8", "tokens": "16", "loss": "0.5", "own_seconds": "", "wait_seconds": ""},
    }


def test_a_step_of_several_passes(tmp_path: Path) -> None:
    loop = Loop(tmp_path, once(3), passes_per_step=4)
    loop.run()
    (ended,) = loop.told(Name.SEGMENT_END)
    assert (ended["steps"], ended["samples"], ended["seconds"], ended["core_s"]) == (3, 96, 9.0, 6.0)
    assert {(row["seconds"], row["core_seconds"], row["loss"]) for row in loop.rows} == {("3.0", "2.0", "2.0")}


def test_some_steps_are_events_at_their_own_times(tmp_path: Path) -> None:
    """Of 120 steps every third one, ⌈120 / 50⌉; a step ends every 0.75 s, and the first segment begins at 103 s."""
    loop = Loop(tmp_path, once(120))
    loop.run()
    steps = [event for event in loop.events if event.name == Name.STEP_END and event.value["phase"] == "window"]
    assert [event.value["step"] for event in steps] == list(range(7, 125, 3))
    assert [event.monotonic_s for event in steps[:2]] == [105.25, 107.5]
    first = steps[0].value
    assert (first["samples"], first["seconds"], first["loss"], first["skipped"]) == (7 * 8, 0.75, 0.5, False)
    assert first["samples_per_second"] == pytest.approx(8 / 0.75)


def test_the_device_is_waited_for_at_edges_alone(tmp_path: Path) -> None:
    waits = []
    for steps in (10, 500):
        folder = tmp_path / str(steps)
        folder.mkdir()
        loop = Loop(folder, once(steps))
        loop.run()
        waits.append(loop.device.synchronizations)
    # Beginning and end of training, and two edges of two blocks of warm-up and of one segment.
    assert waits == [2 + 2 * 3] * 2


def test_skipped_steps_take_time_and_count_nothing(tmp_path: Path) -> None:
    """Steps 6 and 9 of 5 to 14 are skipped: 8 of 10 count."""
    loop = Loop(tmp_path, once(10))
    loop.run(skipping=frozenset({6, 9}))
    (ended,) = loop.told(Name.SEGMENT_END)
    assert (ended["steps"], ended["samples"], ended["tokens"], ended["seconds"]) == (8, 64, 128, 7.5)
    (totals,) = loop.told(Name.TRAIN_END)
    assert (totals["steps"], totals["skipped_steps"], totals["samples"]) == (12, 2, 96)
    assert [row["step"] for row in loop.rows if row["samples"] == "0"] == ["6", "9"]


def test_a_block_in_which_all_was_skipped_is_no_block_of_warm_up(tmp_path: Path) -> None:
    """Blocks of two: the first was skipped, so steadiness is judged by the second and the third."""
    loop = Loop(tmp_path, once(5))
    loop.run(skipping=frozenset({1, 2}))
    assert loop.told(Name.WARMUP_END)[0]["steps"] == 6


def test_the_block_with_the_profiled_step_says_nothing_about_the_speed(tmp_path: Path) -> None:
    """Of several ranks the third step is profiled: blocks of two are judged by the first and the third."""
    loop = Loop(tmp_path, once(5), world=2)
    loop.run()
    assert loop.told(Name.WARMUP_END)[0] == {"steady": True, "steps": 6, "seconds": 4.5, "reason": None}
    (told,) = loop.told(Name.COMMUNICATION)
    assert (told["step"], told["bytes"], told["calls_in_forward"]) == (3, {}, 0)


def test_the_planner_is_asked_with_what_was_measured(tmp_path: Path) -> None:
    asked: list[tuple[float, int, float]] = []

    def plan(step_s: float, steps: int, seconds: float) -> int:
        asked.append((step_s, steps, seconds))
        return [4, 2, 0][len(asked) - 1]

    loop = Loop(tmp_path, plan)
    loop.run(skipping=frozenset({5}))
    assert asked == [(0.75, 0, 0.0), (0.75, 3, 3.0), (0.75, 5, 4.5)]
    assert [mark for mark, _ in loop.marks] == [f"segment_{edge}:{i}" for i in (0, 1) for edge in ("begin", "end")]


def test_an_evaluation_cuts_the_segment_and_is_in_the_time_of_training_alone(tmp_path: Path) -> None:
    """Before training 9 s that count nowhere; after the 3rd of 10 planned steps 2 s that do, as does a checkpoint."""
    loop = Loop(tmp_path, once(10))
    session = loop.session
    session.begin_evaluation()
    loop.clock.advance(9.0)
    assert session.evaluation_s() == 9.0
    session.end_evaluation()
    session.begin()
    for _ in range(2):
        assert [loop.step(), loop.step()] == [False, True]
        session.close()
        session.open()
    assert not any(loop.step() for _ in range(3))
    session.begin_evaluation()
    loop.clock.advance(2.0)
    saved = session.state()
    loop.clock.advance(0.5)
    session.end_evaluation()
    session.end()
    (ended,) = loop.told(Name.SEGMENT_END)
    assert (ended["steps"], ended["samples"], ended["seconds"]) == (3, 24, 2.25)
    assert (saved["training_s"], saved["evaluate_s"], saved["steps"]) == (7 * 0.75 + 2.0, 2.0, 7)
    (totals,) = loop.told(Name.TRAIN_END)
    assert (totals["training_s"], totals["evaluate_s"], totals["core_s"]) == (7 * 0.75 + 2.5, 2.5, 3.5)


def test_a_resumed_part_goes_on_from_the_state_of_the_last(tmp_path: Path) -> None:
    parts = [tmp_path / "one", tmp_path / "two"]
    for part in parts:
        part.mkdir()
    first = Loop(parts[0], once(10))
    first.run(skipping=frozenset({8}))
    second = Loop(parts[1], once(10))
    second.session.restore(first.session.totals.as_dict())
    second.run()
    assert second.told(Name.TRAIN_START) == [{"step": 14, "samples": 104}]
    assert [int(row["step"]) for row in second.rows] == list(range(15, 29))
    (totals,) = second.told(Name.TRAIN_END)
    assert (totals["steps"], totals["skipped_steps"], totals["samples"]) == (27, 1, 216)
    assert (totals["training_s"], totals["core_s"]) == (21.0, 14.0)


def test_nothing_is_measured_without_a_step(tmp_path: Path) -> None:
    loop = Loop(tmp_path, once(10))
    loop.session.close()
    loop.session.open()
    loop.session.close()
    assert loop.events == [] and loop.rows == [] and loop.marks == []


class Unmarked(ManualDevice):
    """An asynchronous device whose stack has no events of its own."""

    def times_on_device(self) -> bool:
        return False


def test_without_device_events_a_segment_has_a_time_and_its_steps_have_none(tmp_path: Path) -> None:
    loop = Loop(tmp_path, once(10), device=Unmarked)
    loop.run()
    (ended,), (totals,) = loop.told(Name.SEGMENT_END), loop.told(Name.TRAIN_END)
    assert (ended["seconds"], ended["core_s"], totals["core_s"]) == (7.5, None, None)
    assert {(row["seconds"], row["core_seconds"]) for row in loop.rows} == {("", "")}
    assert {(one["seconds"], one["samples_per_second"]) for one in loop.told(Name.STEP_END)} == {(None, None)}


def test_a_loss_that_is_no_number_ends_the_run_with_its_steps_kept(tmp_path: Path) -> None:
    loop = Loop(tmp_path, once(10))
    loop.loss = float("nan")
    with pytest.raises(DivergedError, match="step 1"):
        loop.run()
    assert [row["step"] for row in loop.rows] == ["1", "2"], "the block that it was found in"


def test_an_edge_waits_for_the_device_before_it_looks_at_the_clock() -> None:
    clock, done = ManualClock(), []

    class Busy(ManualDevice):
        def synchronize(self) -> None:
            clock.advance(2.0)
            done.append("device done")

    class Noting(Ranks):
        def barrier(self) -> None:
            done.append("ranks met")

    def mark(name: str) -> float:
        done.append(name)
        return clock()

    edges = Edges(device=Busy(clock), ranks=Noting(), mark=mark, clock=clock)
    assert (edges.open("begin"), edges.close("end")) == (102.0, 104.0)
    assert done == ["device done", "begin", "ranks met", "device done", "ranks met", "end"]


class Several(Ranks):
    """Ranks that are threads of this process."""

    def __init__(self, rank: int, meeting: threading.Barrier, values: list[Any]) -> None:
        super().__init__(rank=rank, world=len(values))
        self.meeting, self.values = meeting, values

    def gather(self, value: Any) -> list[Any]:
        self.values[self.rank] = value
        self.meeting.wait()
        found = list(self.values)
        self.meeting.wait()
        return found


def record(*, samples: int, tokens: int | None, core: float | None) -> StepRecord:
    seconds = {"seconds": core, "core_seconds": core}
    return StepRecord(step=1, samples=samples, tokens=tokens, loss=0.0, learning_rate=0.1, offset_s=0.0, **seconds)


@pytest.mark.parametrize(
    ("tokens", "cores", "expected"),
    [
        ((5, 7, 1), (1.0, 3.0, 2.0), SegmentTotals(samples=3 + 4 + 6, tokens=13, core_s=3.0, seconds=9.0)),
        ((5, None, 1), (1.0, 3.0, None), SegmentTotals(samples=3 + 4 + 6, tokens=None, core_s=None, seconds=9.0)),
    ],
    ids=["all known", "not known on one rank"],
)
def test_ranks_add_up_what_they_did_and_the_slowest_tells_the_time(
    tokens: tuple[int | None, ...], cores: tuple[float | None, ...], expected: SegmentTotals
) -> None:
    meeting, values, found = threading.Barrier(3), [None] * 3, [None] * 3

    def join(rank: int, samples: int, seconds: float) -> None:
        ranks = Several(rank, meeting, values)
        records = [record(samples=samples, tokens=tokens[rank], core=cores[rank])]
        found[rank] = (join_ranks(ranks, records, seconds), ranks.sum(seconds), ranks.greatest(seconds))  # type: ignore[call-overload]

    threads = [threading.Thread(target=join, args=one) for one in ((0, 3, 8.0), (1, 4, 9.0), (2, 6, 1.0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert found == [(expected, 18.0, 9.0)] * 3


def test_totals_keep_what_is_unknown_unknown() -> None:
    totals = Totals()
    totals.add(
        [record(samples=4, tokens=None, core=None)], SegmentTotals(samples=4, tokens=None, core_s=None, seconds=1.0)
    )
    totals.add([record(samples=4, tokens=2, core=1.0)], SegmentTotals(samples=4, tokens=2, core_s=1.0, seconds=1.0))
    assert (totals.steps, totals.samples, totals.tokens, totals.core_s) == (2, 8, None, None)


def test_the_core_knows_no_framework() -> None:
    modules = sorted(Path(runner.measure.__path__[0]).glob("*.py"))
    imported = {
        name
        for module in modules
        for node in ast.walk(ast.parse(module.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert "torch" in imported, "imports were read"
    assert not {name for name in imported if "lightning" in name or name.startswith("runner.frameworks")}

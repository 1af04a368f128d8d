"""Warm-up and window of a served model, against a system whose clock is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from case_samples import make_case

from hardware.vendors.cpu import Cpu
from runner.core.events import EventWriter, Name, read_events
from runner.core.load import Load
from runner.measure.context import Context
from runner.measure.step_records import StepsFile
from runner.record.step_rows import read_rows
from runner.serving.load.offline import Offline
from runner.serving.load.requests import Request, read_requests
from runner.serving.load.session import ServingSession
from runner.serving.load.system import System


class Clocked(System):
    """Answers in as many seconds as it is told, by a clock that only it moves."""

    samples = 4

    def __init__(self, seconds: list[float]) -> None:
        self.now_s, self.seconds, self.waited = 100.0, seconds, 0

    def answer(self, number: int, arrived_s: float | None = None) -> Request:
        begun_s = self.now_s
        self.now_s += self.seconds[min(number, len(self.seconds) - 1)]
        return Request(number=number, arrived_s=begun_s, begun_s=begun_s, ended_s=self.now_s, samples=self.samples)

    def synchronize(self) -> None:
        self.waited += 1

    def clock(self) -> float:
        return self.now_s


@pytest.fixture
def marks() -> list[str]:
    """Names under which the meters were read."""
    return []


@pytest.fixture
def context(tmp_path: Path, marks: list[str]) -> Context:
    case = make_case("infer")
    StepsFile.create(tmp_path / "steps.csv")

    def mark(name: str) -> float:
        marks.append(name)
        return 0.0

    return Context(
        case=case,
        folder=tmp_path,
        rank=0,
        local_rank=0,
        world=1,
        events=EventWriter(tmp_path / "events" / "rank0.log", rank=0),
        device=Cpu(case.vendor),
        mark=mark,
    )


def told(context: Context, name: Name) -> list[dict[str, Any]]:
    events, _ = read_events(context.folder / "events" / "rank0.log")
    return [event.value for event in events if event.name == name]


def arrival(context: Context, system: System) -> Offline:
    return Offline(Load(name="offline"), system, seed=0, folder=context.folder)


def test_the_window_begins_when_the_speed_is_steady(context: Context, marks: list[str]) -> None:
    system = Clocked([5.0] * 10 + [0.5])  # ten slow requests, then half a second each
    spec = context.case.measure
    requests = ServingSession(context, clock=system.clock).window(arrival(context, system))
    (warm,) = told(context, Name.WARMUP_END)
    assert warm["steady"] and warm["steps"] >= 10 + spec.warmup.blocks * spec.warmup.block_steps
    (segment,) = told(context, Name.SEGMENT_END)
    assert segment["seconds"] == pytest.approx(0.5 * len(requests)) and segment["samples"] == 4 * len(requests)
    assert segment["seconds"] >= spec.window.min_s and len(requests) >= spec.window.min_steps
    assert segment["own_s"] == pytest.approx(0.0) and segment["end_s"] - segment["begin_s"] == segment["seconds"]
    assert read_requests(context.folder) == requests
    rows = [row for row in read_rows(context.folder / "steps.csv") if row["phase"] == "window"]
    assert len(rows) == len(requests) and {float(row["seconds"]) for row in rows} == {0.5}
    assert marks == ["segment_begin:0", "segment_end:0"]
    assert system.waited >= 2, "both edges wait for the system"


def test_a_load_has_its_own_blocks_of_warm_up(context: Context) -> None:
    class Wide(Offline):
        def block_of(self, count: int) -> int:
            return 7 * count

    system, spec = Clocked([0.5]), context.case.measure.warmup
    ServingSession(context, clock=system.clock).window(
        Wide(Load(name="offline"), system, seed=0, folder=context.folder)
    )
    (warm,) = told(context, Name.WARMUP_END)
    assert warm["steps"] == spec.blocks * 7 * spec.block_steps


def test_a_window_that_was_over_too_soon_goes_on(context: Context) -> None:
    """Faster than warm-up let expect: the seconds that are missing are measured, too."""
    spec = context.case.measure
    slow = spec.warmup.blocks * spec.warmup.block_steps
    system = Clocked([1.0] * slow + [0.1])
    requests = ServingSession(context, clock=system.clock).window(arrival(context, system))
    segments = told(context, Name.SEGMENT_END)
    assert [segment["segment"] for segment in segments] == list(range(len(segments))) and len(segments) > 1
    seconds = sum(segment["seconds"] for segment in segments)
    assert seconds >= spec.window.min_s and seconds == pytest.approx(0.1 * len(requests))


def test_a_point_is_no_part_of_the_window(context: Context, marks: list[str]) -> None:
    system = Clocked([0.5])
    stretch, steady = ServingSession(context, clock=system.clock).point(arrival(context, system))
    assert steady and stretch.samples / stretch.seconds == pytest.approx(4 / 0.5)
    assert not told(context, Name.SEGMENT_END) and not read_requests(context.folder)
    assert read_rows(context.folder / "steps.csv") == [] and marks == []

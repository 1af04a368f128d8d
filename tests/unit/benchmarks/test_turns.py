"""Turns: only whole steps count, each turn is held against its neighbour, and a stopped program does nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks import turns
from benchmarks.overhead import step_ends_s
from benchmarks.turns import Turn, ended_with, go_on, middle, rates, ratios, run_in_turns, stop, tree
from runner.core.events import EventWriter, Name

STEPPER = """
import json, sys, time
print("ready", flush=True)
ends = []
while len(ends) < int(sys.argv[1]):
    until = time.monotonic() + 0.01
    while time.monotonic() < until:
        pass
    ends.append(time.monotonic())
print(json.dumps(ends))
"""


@pytest.fixture(autouse=True)
def no_catching_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "CATCH_UP_S", 0.0)


def turn(side: str, begin_s: float, end_s: float) -> Turn:
    return Turn(side=side, begin_s=begin_s, end_s=end_s)


def test_only_steps_inside_a_turn_count() -> None:
    # Steps of 1 s; the one from 9 to 21 was cut by a stop, the one that ends at 26 by the end of the turn.
    ends_s = {"a": [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 21.0, 22.0, 23.0, 24.5, 26.0]}
    told = rates([turn("a", 4.5, 10.0), turn("a", 20.0, 25.0)], ends_s)
    assert told == [pytest.approx(1.0), pytest.approx(3 / 3.5)]


def test_what_wakes_late_may_catch_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "CATCH_UP_S", 1.5)
    ends_s = {"a": [0.0, 1.0, 11.0, 12.0, 13.0, 14.0]}
    assert rates([turn("a", 0.0, 20.0)], ends_s) == [pytest.approx(1.0)], "the step of 10 s began too early"


def test_a_turn_with_few_steps_tells_nothing() -> None:
    ends_s = {"a": [0.0, 1.0, 2.0]}
    assert rates([turn("a", 0.0, 3.0)], ends_s) == [None]
    with pytest.raises(SystemExit, match="longer turns"):
        middle([])


def test_each_pair_of_turns_gives_one_ratio_whichever_ran_first() -> None:
    ends_s = {"engine": [i * 0.5 for i in range(100)], "bare": [i * 0.4 for i in range(100)]}
    order = [turn("engine", 0, 5), turn("bare", 5, 10), turn("bare", 10, 15), turn("engine", 15, 20)]
    assert ratios(order, ends_s, over="bare") == [pytest.approx(0.8), pytest.approx(0.8)]
    short = [turn("engine", 0, 1), *order[1:]]
    assert ratios(short, ends_s, over="bare") == [pytest.approx(0.8)], "a pair counts only whole"
    assert middle([0.9, 1.0, 5.0]) == 1.0


@pytest.fixture
def steppers() -> Iterator[dict[str, subprocess.Popen[str]]]:
    started = {}
    for side in "ab":
        process = subprocess.Popen(
            [sys.executable, "-c", STEPPER, "150"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        stop(process)
        started[side] = process
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


def test_a_program_works_in_its_own_turns_alone(steppers: dict[str, subprocess.Popen[str]]) -> None:
    taken = run_in_turns(steppers, pairs=3, turn_s=0.2)
    assert [one.side for one in taken] == ["a", "b", "b", "a", "a", "b"]
    ends_s = {}
    for side, process in steppers.items():
        assert psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
        go_on(process)
        ends_s[side] = json.loads(process.communicate()[0])
    slack_s = 0.05  # a signal is delivered a moment after it was sent
    for one in taken:
        other = "b" if one.side == "a" else "a"
        inside = [end_s for end_s in ends_s[other] if one.begin_s + slack_s < end_s < one.end_s]
        assert not inside, f"{other} worked while {one.side} had its turn"
    assert all(rate is not None for rate in rates(taken, ends_s))


def test_an_error_leaves_no_stopped_program_behind(steppers: dict[str, subprocess.Popen[str]]) -> None:
    with pytest.raises(RuntimeError), ended_with(steppers):
        raise RuntimeError
    for process in steppers.values():
        process.communicate()
        assert process.returncode < 0
        with pytest.raises(psutil.NoSuchProcess):
            tree(process)


def test_step_ends_begin_with_the_segment(tmp_path: Path) -> None:
    from benchmarks.engine import compose_case

    case = compose_case("task=train", "model=resnet50", "scale=tiny", "vendor=cpu", "tracking=none")
    case.save(tmp_path / "run.yaml")
    events = EventWriter(tmp_path / "events" / "rank0.log", rank=0)
    events.emit(Name.SEGMENT_END, {"begin_s": 100.0, "end_s": 103.5})
    rows = ["0,1,warmup,9.0,9.0,4,,1.0", "0,2,window,1.5,1.0,4,,1.0", "0,3,window,2.0,1.0,4,,1.0"]
    header = "rank,step,phase,seconds,core_seconds,samples,tokens,loss"
    (tmp_path / "steps.csv").write_text("\n".join([header, *rows, ""]))
    assert step_ends_s(tmp_path) == [100.0, 101.5, 103.5]

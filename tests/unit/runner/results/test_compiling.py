"""`time/compile_s`, and the sentence of a program that was compiled where speed was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from runner.core.events import Event, Name
from runner.record.run_record import RunRecord
from runner.record.values import Missing
from runner.results.compiling import compiling


def event(name: Name, at_s: float, **value: Any) -> Event:
    return Event(name=name.value, value=value, rank=0, time_ms=0, monotonic_s=at_s)


def record(*ranks: list[Event]) -> RunRecord:
    return RunRecord(folder=Path(), case=cast("Any", None), ranks=list(ranks), parent=[])


SEGMENT = event(Name.SEGMENT_END, 21.0, begin_s=10.0, end_s=20.0)


def test_seconds_are_those_of_the_rank_that_compiled_longest() -> None:
    first = [event(Name.COMPILED, 3.0, what="step", seconds=2.0), event(Name.COMPILED, 5.0, what="x", seconds=0.5)]
    second = [event(Name.COMPILED, 6.0, what="step", seconds=4.0)]
    values, notes = compiling(record([*first, SEGMENT], [*second, SEGMENT]))
    assert values == {"time/compile_s": 4.0}
    assert notes == []


def test_nothing_told_is_no_figure() -> None:
    values, notes = compiling(record([SEGMENT]))
    assert isinstance(values["time/compile_s"], Missing)
    assert notes == []


@pytest.mark.parametrize(
    ("ended_s", "seconds", "inside"),
    [(10.0, 3.0, None), (12.0, 3.0, "2 s"), (15.0, 1.5, "1.5 s"), (22.0, 3.0, "1 s"), (24.0, 3.0, None)],
)
def test_what_lies_between_the_edges_is_said(ended_s: float, seconds: float, inside: str | None) -> None:
    compiled = event(Name.COMPILED, ended_s, what="step", seconds=seconds)
    values, notes = compiling(record([compiled, SEGMENT]))
    assert values == {"time/compile_s": seconds}
    assert len(notes) == (inside is not None)
    if inside is not None:
        assert f"step ({inside})" in notes[0]

"""From events and figures to metric points. Pure: no MLflow, no files."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from runner.core.events import Event, Name
from runner.record.report import Figure

_NOT_ALLOWED = re.compile(r"[^\w\-. :/]")
"""MLflow's names hold letters, digits and `_ - . : /` and spaces."""
_STEP_VALUES = ("loss", "learning_rate", "samples_per_second")


class Point(NamedTuple):
    """One value of one metric at one step."""

    key: str
    value: float
    time_ms: int
    step: int


def clean_key(key: str) -> str:
    """`key` with what MLflow does not allow in names replaced; one bad name would refuse a whole batch."""
    return _NOT_ALLOWED.sub("_", key)


def event_points(events: Iterable[Event], *, prefix: str = "") -> list[Point]:
    """The curves of a run: `train/…` from steps, `eval/…` from evaluations, `log/…` from what a module logs.

    An evaluation is not filed as `quality/…`: that name is the report's figure, the best evaluation of the run.
    """
    return [point._replace(key=prefix + point.key) for event in events for point in _points(event)]


def _points(event: Event) -> Iterator[Point]:
    values = _values(event)
    step = event.value.get("step", 0 if event.name == Name.INIT_EVALUATION else None)
    if not isinstance(step, int):
        return
    for key, value in values.items():
        number = _number(value)
        if number is not None:
            yield Point(clean_key(key), number, event.time_ms, step)


def _values(event: Event) -> dict[str, Any]:
    if event.name == Name.STEP_END:
        return {f"train/{key}": event.value.get(key) for key in _STEP_VALUES}
    if event.name in (Name.EVALUATE, Name.INIT_EVALUATION):
        quality = event.value.get("quality") or {}
        return {f"eval/{key}": value for key, value in quality.items()} | {"eval/seconds": event.value.get("seconds")}
    if event.name == Name.METRICS:
        return {f"log/{key}": value for key, value in (event.value.get("metrics") or {}).items()}
    return {}


def figure_points(figures: Mapping[str, Figure], *, time_ms: int) -> list[Point]:
    """A report's figures under their exact names; those that were not measured are left out."""
    numbers = {name: _number(figure.value) for name, figure in figures.items()}
    return [Point(clean_key(name), number, time_ms, 0) for name, number in numbers.items() if number is not None]


def _number(value: Any) -> float | None:
    """`value` as a finite number; None for anything else, so that nothing is filed as 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)

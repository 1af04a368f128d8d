"""What plots are drawn from: the steps, powers and marks of a run folder."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hardware.sampling.trace import Series, Trace
from runner.record.step_rows import Row, read_rows


@dataclass(kw_only=True, slots=True, frozen=True)
class StepPoint:
    """One optimizer step of the whole job, from `steps.csv`."""

    step: int
    phase: str
    seconds: float
    """The slowest rank's; 0 where the stack has no device events to tell it."""
    samples: int
    """Summed over ranks."""
    loss: float | None
    """Mean over the ranks that told one."""


@dataclass(kw_only=True, slots=True)
class Power:
    """Power of one source over time, from `power.csv`."""

    label: str
    times_s: list[float]
    """Of the monotonic clock."""
    power_w: list[float]


def read_steps(path: Path) -> list[StepPoint]:
    """Steps in order, joined over ranks. A step that a resumed run did again counts as it went the last time."""
    ranks: dict[int, dict[int, dict[str, str]]] = defaultdict(dict)
    for row in read_rows(path):
        ranks[int(row["step"])][int(row["rank"])] = row
    return [_join(step, list(rows.values())) for step, rows in sorted(ranks.items())]


def _join(step: int, rows: list[Row]) -> StepPoint:
    # Without device events the field is empty: of such a line the loss is known all the same.
    losses = [loss for row in rows if (loss := _number(row.get("loss"))) is not None]
    return StepPoint(
        step=step,
        phase=rows[0].get("phase") or "",
        seconds=max(_number(row.get("seconds")) or 0.0 for row in rows),
        samples=sum(int(row["samples"]) for row in rows),
        loss=sum(losses) / len(losses) if losses else None,
    )


def _number(text: str | None) -> float | None:
    """A finite number; null for an empty, missing or damaged field."""
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_power(path: Path) -> tuple[list[Power], dict[str, float]]:
    """One trace for each source that told power, or an energy counter to derive it from; and the marks.

    Returns:
        The traces, and moments by name; all times in seconds of the monotonic clock.

    Raises:
        ValueError: the file is no power trace.
    """
    trace = Trace.load(path)
    powers = (_power(one) for one in trace.series)
    return [power for power in powers if power.times_s], trace.marks


def _power(one: Series) -> Power:
    label = f"{one.scope}: {one.source} ({one.meter})"
    samples = list(one.samples())
    direct = [(time, power) for time, power, _ in samples if power is not None]
    if direct:
        return Power(label=label, times_s=[time for time, _ in direct], power_w=[power for _, power in direct])
    counter = [(time, energy) for time, _, energy in samples if energy is not None]
    means = [
        (after, (joules - earlier) / (after - before))
        for (before, earlier), (after, joules) in pairwise(counter)
        if after > before and joules >= earlier  # a counter that started again tells nothing of this stretch
    ]
    label += ", from its energy counter"
    return Power(label=label, times_s=[time for time, _ in means], power_w=[power for _, power in means])

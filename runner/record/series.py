"""What charts are drawn from: the steps of a run folder, and what each source of its power trace told over time."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hardware.sampling.trace import Series
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
class Timeline:
    """One figure of one source over time, from `power.csv`."""

    label: str
    times_s: list[float]
    """Of the monotonic clock."""
    values: list[float]


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


def power_of(one: Series) -> Timeline:
    """Watts as a source told them, else as they follow from its energy counter; without points where it has neither."""
    label = label_of(one)
    samples = list(one.samples())
    direct = [(time, power) for time, power, _ in samples if power is not None]
    if direct:
        return Timeline(label=label, times_s=[time for time, _ in direct], values=[power for _, power in direct])
    counter = [(time, energy) for time, _, energy in samples if energy is not None]
    means = [
        (after, (joules - earlier) / (after - before))
        for (before, earlier), (after, joules) in pairwise(counter)
        if after > before and joules >= earlier  # a counter that started again tells nothing of this stretch
    ]
    times_s = [time for time, _ in means]
    return Timeline(label=f"{label}, counter", times_s=times_s, values=[power for _, power in means])


def told_by(one: Series, column: str, factor: float = 1.0) -> Timeline:
    """A column of the trace as a source told it, each value times `factor`."""
    pairs = zip(one.numbers["monotonic_s"], one.numbers[column], strict=True)
    told = [(time, factor * value) for time, value in pairs if not math.isnan(value)]
    return Timeline(label=label_of(one), times_s=[time for time, _ in told], values=[value for _, value in told])


def label_of(one: Series) -> str:
    """How a source is named beside others: `device: GPU-5f2c (nvml)`, and no word twice."""
    source = "" if one.source == one.scope else f": {one.source}"
    return f"{one.scope}{source}" + ("" if one.meter == one.scope else f" ({one.meter})")

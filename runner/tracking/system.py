"""From the power trace to MLflow's system metrics, under the names that MLflow's own monitor gives them.

MLflow's monitor would read every sensor a second time; the trace already holds what they said. Readings are averaged
over intervals of fixed length, and only whole ones are filed: sending them again after a crash changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import fsum
from pathlib import Path
from typing import Any

from hardware.sampling.trace_file import TraceRow, read_from
from runner.tracking.points import Point, clean_key

INTERVAL_S = 10
"""MLflow's own sampling interval (`MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL`)."""
MEGABYTE = 1e6
HOST = {
    "utilisation": ("cpu_utilization_percentage", 100.0),
    "memory_used_bytes": ("system_memory_usage_megabytes", 1 / MEGABYTE),
}
OTHERS = {
    "utilisation": ("utilization_percentage", 100.0),
    "memory_used_bytes": ("memory_usage_megabytes", 1 / MEGABYTE),
    "power_w": ("power_usage_watts", 1.0),
    "temperature_c": ("temperature_celsius", 1.0),
    "clock_mhz": ("clock_mhz", 1.0),
}
"""Column of the trace to the end of the metric's name and the factor to its unit."""


@dataclass(kw_only=True, slots=True)
class Intervals:
    """What a part of a trace gives, and where the next part begins."""

    points: list[Point]
    offset: int
    sources: list[str]
    """Devices in the order in which they were first read: MLflow calls them gpu_0, gpu_1 …"""


def system_points(trace: Path, offset: int, sources: Sequence[str], *, final: bool) -> Intervals:
    """Means of the intervals that are complete.

    Args:
        trace: `power.csv`; may be absent.
        offset: bytes that are filed already, as the last call told.
        sources: as the last call told.
        final: no more will come: the last interval is complete as it is.
    """
    known = list(sources)
    points: list[Point] = []
    done = offset
    for interval, group in groupby(_in_intervals(read_from(trace, offset)), key=lambda one: one[0]):
        rows = list(group)
        if not final and rows[-1][3]:
            break
        points += _means(interval, [row for _, row, _, _ in rows], known)
        done = rows[-1][2]
    return Intervals(points=points, offset=done, sources=known)


def _in_intervals(rows: Iterator[tuple[TraceRow, int]]) -> Iterator[tuple[int, TraceRow, int, bool]]:
    """Each row with its interval, the offset behind it, and whether it is in the last interval of all.

    A slow meter's row that comes late counts to the interval in which it was written.
    """
    listed = list(rows)
    interval, numbers = 0, []
    for row, _ in listed:
        interval = max(interval, int(row.monotonic_s // INTERVAL_S))
        numbers.append(interval)
    for number, (row, behind) in zip(numbers, listed, strict=True):
        yield number, row, behind, number == interval


def _means(interval: int, rows: Sequence[TraceRow], sources: list[str]) -> list[Point]:
    told: dict[str, list[float]] = {}
    for row in rows:
        for name, value in _named(row, sources):
            told.setdefault(name, []).append(value)
    time_ms = int(max(row.unix_s for row in rows) * 1000)
    step = interval * INTERVAL_S
    return [Point(clean_key(f"system/{name}"), fsum(each) / len(each), time_ms, step) for name, each in told.items()]


def _named(row: TraceRow, sources: list[str]) -> Iterator[tuple[str, float]]:
    if row.source is None:
        return
    columns: dict[str, tuple[str, float]] = OTHERS
    prefix = f"{row.source}_"
    if row.scope == "host":
        if row.source != "host":
            return  # the run's own processes are a figure of the report
        columns, prefix = HOST, ""
    elif row.scope == "device":
        if row.source not in sources:
            sources.append(row.source)
        prefix = f"gpu_{sources.index(row.source)}_"
    for column, (name, factor) in columns.items():
        value: Any = getattr(row, column)
        if value is not None:
            yield f"{prefix}{name}", float(value) * factor

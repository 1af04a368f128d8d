"""How long series are thinned: by the mean and the extremes of bins, so that no peak and no edge is lost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from runner.views.charts.parts.chart import Row

MOST_BINS = 240
"""Points of one line: more cannot be told apart on a page."""
BARS = 40
"""Of a histogram."""
FAR = 3.0
"""Times the 90th percentile from which on values share the last bar: one value would press all others into a line."""


class Observation(NamedTuple):
    """One observation."""

    x: float
    y: float
    weight: float = 1.0


def binned(groups: Iterable[Sequence[Observation]], *, most: int = MOST_BINS, least: int = 1) -> tuple[list[Row], int]:
    """A series as mean, lowest and highest of bins; none of them spans two groups.

    Args:
        groups: the observations in order, cut where something begins or ends.
        most: bins, beside one more for each group.
        least: observations of a bin.

    Returns:
        Rows of `x`, `mean` (weighted), `low` and `high`; and how many observations a bin holds.
    """
    kept = [group for group in groups if group]
    size = max(1, least, -(-sum(map(len, kept)) // most))
    rows = []
    for group in kept:
        for begin in range(0, len(group), size):
            part = group[begin : begin + size]
            total = sum(point.weight for point in part)
            values = [point.y for point in part]
            mean = sum(point.y * point.weight for point in part) / total if total else values[-1]
            # A mean of equal numbers is that number: rounding must not put it outside of its own range.
            mean = min(max(mean, min(values)), max(values))
            x = part[0].x if len(part) == 1 else (part[0].x + part[-1].x) / 2
            rows.append({"x": x, "mean": mean, "low": min(values), "high": max(values)})
    return rows, size


class Bars(NamedTuple):
    """A histogram."""

    rows: list[Row]
    """Of `x`, `end` and `count`."""
    beyond: int
    """Values above the last bar's end, which are counted in it."""


def histogram(values: Sequence[float], most: int = BARS) -> Bars:
    """Counts in bars of one width from the lowest value to the highest, or to a few times the 90th percentile."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    usual = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    end = min(high, FAR * usual) if usual > low else high
    if end <= low:
        return Bars([{"x": low * 0.99, "end": low * 1.01 or 1.0, "count": len(ordered)}], 0)
    width = (end - low) / most
    counts = [0] * most
    for value in ordered:
        counts[min(most - 1, int((value - low) / width))] += 1
    rows = [{"x": low + place * width, "end": low + (place + 1) * width, "count": n} for place, n in enumerate(counts)]
    return Bars(rows, sum(value > end for value in ordered))


def shares(values: Sequence[float], most: int = MOST_BINS) -> list[Row]:
    """The share of values up to each of at most `most` of them, as rows of `x` and `share` in percent; ends kept."""
    ordered = sorted(values)
    places = range(len(ordered))
    if len(ordered) > most:
        places = sorted({round(one * (len(ordered) - 1) / (most - 1)) for one in range(most)})  # type: ignore[assignment]
    return [{"x": ordered[place], "share": 100 * (place + 1) / len(ordered)} for place in places]

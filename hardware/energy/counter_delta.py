"""How far a cumulative energy counter moved between the edges of a window, and when that is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hardware.energy.power import Sample

RENEWED_S = 1.0
"""A counter may be renewed as seldom as this, and so shows a whole second's energy in the step of a moment."""
WRAP_GAP_S = 60.0
"""A counter that starts again from 0 could do so unseen when nobody looks for longer than this."""


@dataclass(kw_only=True, slots=True, frozen=True)
class CounterDelta:
    """Difference of a counter between the edges of a window; None joules have a reason and perhaps a flag."""

    joules: float | None
    reason: str | None = None
    flag: str | None = None


def counter_delta(
    ordered: Sequence[Sample],
    *,
    start_s: float,
    end_s: float,
    period_s: float | None,
    wrap_j: float | None,
    most_w: float,
) -> CounterDelta:
    """How far the counter moved between the edges.

    An edge between two readings takes its value from the straight line between them: a counter only grows, so the
    error is below what it grew there. Readings more than three periods (and a second) apart bracket nothing.

    Args:
        ordered: cleaned samples in time order.
        start_s: start of the window in seconds.
        end_s: end of the window.
        period_s: sampling period; None when it is not known.
        wrap_j: value at which the counter starts again from 0; None when it never does.
        most_w: more than the source can draw.
    """
    readings = [(time_s, energy_j) for time_s, _, energy_j in ordered if energy_j is not None]
    if not readings:
        return CounterDelta(joules=None, reason="no energy counter was read")
    first = max((i for i, (time_s, _) in enumerate(readings) if time_s <= start_s), default=None)
    last = min((i for i, (time_s, _) in enumerate(readings) if time_s >= end_s), default=None)
    if first is None or last is None:
        edge = "start" if first is None else "end"
        return CounterDelta(joules=None, reason=f"no counter reading at the window's {edge}", flag="counter_gap")
    times = [time_s for time_s, _ in readings[first : last + 1]]
    totals = _unwrap([energy_j for _, energy_j in readings[first : last + 1]], wrap_j)
    if totals is None:
        return CounterDelta(joules=None, reason="the counter went down", flag="counter_reset")
    leap = _leap(times, totals, most_w)
    if leap is not None:
        return CounterDelta(joules=None, reason=leap, flag="counter_reset")
    gaps = [after - before for before, after in pairwise(times)]
    if wrap_j is not None and max(gaps) > WRAP_GAP_S:
        return CounterDelta(joules=None, reason="the counter may have wrapped unseen", flag="counter_gap")
    limit_s = max(3 * (period_s or 0.0), 1.0)
    if (times[0] < start_s and gaps[0] > limit_s) or (times[-1] > end_s and gaps[-1] > limit_s):
        return CounterDelta(joules=None, reason="no counter reading near the window's edge", flag="counter_gap")
    begin_j = _line(start_s, (times[0], totals[0]), (times[1], totals[1]))
    finish_j = _line(end_s, (times[-1], totals[-1]), (times[-2], totals[-2]))
    return CounterDelta(joules=finish_j - begin_j)


def _unwrap(values_j: list[float], wrap_j: float | None) -> list[float] | None:
    """The counter with its wraps taken out; None if it went down for another reason.

    A wrap moves a counter that is read often by far less than half its range; a larger step is a reset.
    """
    totals = [values_j[0]]
    for before, after in pairwise(values_j):
        step = after - before
        if step < 0:
            step += wrap_j or 0.0
            if step < 0 or wrap_j is None or step > wrap_j / 2:
                return None
        totals.append(totals[-1] + step)
    return totals


def _leap(times_s: Sequence[float], totals_j: Sequence[float], most_w: float) -> str | None:
    """Why the counter moved further than its source can have drawn: what looks like a wrap was a reset."""
    for (begin_s, begin_j), (end_s, end_j) in pairwise(zip(times_s, totals_j, strict=True)):
        if end_j - begin_j > most_w * (end_s - begin_s + RENEWED_S):
            step = f"the counter moved by {end_j - begin_j:,.0f} J in {end_s - begin_s:.3g} s"
            return f"{step}, more than can be drawn: it was reset, or counts something else"
    return None


def _line(at_s: float, one: tuple[float, float], other: tuple[float, float]) -> float:
    """Value at `at_s` on the line through two points; exactly that of `one` at its own time."""
    if at_s == one[0]:
        return one[1]
    return one[1] + (other[1] - one[1]) * (at_s - one[0]) / (other[0] - one[0])

"""Energy arithmetic: what the samples of one meter say about a window of time. Pure functions, no I/O.

Two ways lead to joules. A cumulative *counter* is read at both edges; the *integral* of sampled power holds each value
until the next sample (a sensor that repeats a value has measured it again: nothing is removed). The counter is
preferred, but never on its word alone: where power is sampled too, both must agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum
from typing import Literal

from hardware.energy.power import PowerIntegral, Sample, clean, integrate, median_gap_s
from hardware.meters.base import Scope

Method = Literal["counter", "integral", "none"]

SHORT_WINDOW_S = 5.0
"""Below this a counter's own step shows: -3.7 % at 2 s, 0.0 % at 5 s on one board (facts: peers.md 2.3, item 3)."""
FULL_COVERAGE = 0.95
"""Share of the window that must be known for an energy without `low_coverage`."""
LEAST_COVERAGE = 0.5
"""With less of the window known an energy would be mostly an assumption: None instead."""
AGREEMENT = (0.7, 1.3)
"""Counter over integral, between which a counter is believed (facts: peers.md E2); `_agreement` widens it."""
MOST_W: dict[Scope, float] = {
    "device": 5e3,
    "board": 1e4,
    "package": 3e3,
    "dram": 2e3,
    "node": 1e5,
    "host": 1e5,
}
"""More than any such thing can draw, by far: a counter that moved faster was reset, or is none of energy."""
RENEWED_S = 1.0
"""A counter may be renewed as seldom as this, and so shows a whole second's energy in the step of a moment."""
WRAP_GAP_S = 60.0
"""A counter that starts again from 0 could do so unseen when nobody looks for longer than this."""


@dataclass(kw_only=True, slots=True, frozen=True)
class EnergyReading:
    """Energy of one source, or of a sum of sources, over one window."""

    joules: float | None
    seconds: float
    """Length of the window."""
    scope: Scope
    method: Method
    period_s: float | None
    """Sampling period; None when it is not known."""
    coverage: float
    """Share of the window whose value is known: 1 between two counter readings."""
    n_samples: int
    """Samples inside the window, edges included; of several sources those of the one that was read least."""
    mean_w: float | None
    peak_w: float | None
    flags: tuple[str, ...] = ()
    """What a reader must know: `short_window`, `low_coverage`, `counter_reset`, `counter_stuck`, …"""
    reason: str | None = None
    """Why there are no joules; None when there are."""
    counter_over_integral: float | None = None
    """Result of the counter's self-check, where both exist."""

    def __post_init__(self) -> None:
        assert (self.joules is None) == (self.reason is not None), "null needs a reason, a value must have none"


@dataclass(kw_only=True, slots=True, frozen=True)
class CounterDelta:
    """Difference of a counter between the edges of a window; None joules have a reason and perhaps a flag."""

    joules: float | None
    reason: str | None = None
    flag: str | None = None


def measure(
    samples: Sequence[Sample],
    *,
    start_s: float,
    end_s: float,
    scope: Scope,
    period_s: float | None = None,
    energy_wrap_j: float | None = None,
) -> EnergyReading:
    """Energy of one source over [start_s, end_s].

    Args:
        samples: (`monotonic_s`, watts or None, counter in joules or None), in any order; those outside the window
            give the value held at its start and bracket its edges.
        start_s: start of the window on the samples' clock, in seconds.
        end_s: end of the window.
        scope: what the source is.
        period_s: nominal sampling period; the median distance of the samples when None.
        energy_wrap_j: value at which the counter starts again from 0; None when it never does.

    Raises:
        ValueError: the window does not end after its start.
    """
    if end_s <= start_s:
        raise ValueError(f"a window must end after its start, got [{start_s}, {end_s}]")
    ordered = clean(samples)
    period_s = median_gap_s(ordered) if period_s is None else period_s
    powers = [sample for sample in ordered if sample[1] is not None]
    integral = integrate(ordered, start_s=start_s, end_s=end_s, period_s=period_s)
    counter = counter_delta(
        ordered, start_s=start_s, end_s=end_s, period_s=period_s, wrap_j=energy_wrap_j, most_w=MOST_W[scope]
    )
    short = end_s - start_s < SHORT_WINDOW_S
    joules, method, coverage, ratio, flags, reason = _choose(counter, integral, seconds=end_s - start_s)
    return EnergyReading(
        joules=joules,
        seconds=end_s - start_s,
        scope=scope,
        method=method,
        period_s=period_s,
        coverage=coverage,
        n_samples=sum(start_s <= sample[0] <= end_s for sample in (powers if method == "integral" else ordered)),
        mean_w=None if joules is None else joules / (end_s - start_s),
        peak_w=integral.peak_w,
        flags=flags + (("short_window",) if short else ()),
        reason=reason,
        counter_over_integral=ratio,
    )


def nothing(*, start_s: float, end_s: float, scope: Scope, reason: str) -> EnergyReading:
    """The reading of a scope that nothing was read of."""
    return EnergyReading(
        joules=None,
        seconds=end_s - start_s,
        scope=scope,
        method="none",
        period_s=None,
        coverage=0.0,
        n_samples=0,
        mean_w=None,
        peak_w=None,
        reason=reason,
    )


_Choice = tuple[float | None, Method, float, float | None, tuple[str, ...], str | None]


def _agreement(seconds: float, coverage: float) -> tuple[float, float]:
    """Least and most that a counter may be of the integral of power.

    In a short window the counter's own steps show, in one with gaps the integral is partly an assumption: both widen
    the band, and neither makes a counter true that is a thousand times too high.

    Args:
        seconds: length of the window.
        coverage: known share of it, above 0.
    """
    slack = 1 + 0.25 * max(0.0, SHORT_WINDOW_S / seconds - 1) + max(0.0, FULL_COVERAGE / coverage - 1)
    return AGREEMENT[0] / slack, AGREEMENT[1] * slack


def _choose(counter: CounterDelta, integral: PowerIntegral, *, seconds: float) -> _Choice:
    """Joules, method, coverage, self-check ratio, flags and reason: the counter if it holds, else the integral."""
    flags: tuple[str, ...] = (counter.flag,) if counter.flag else ()
    reason = counter.reason
    ratio = None
    if counter.joules is not None:
        known = integral.coverage > 0 and integral.joules > 0
        checkable = known and integral.coverage >= FULL_COVERAGE
        ratio = counter.joules / integral.joules if known else None
        least, most = _agreement(seconds, integral.coverage) if known else (0.0, 0.0)
        stuck = counter.joules == 0
        disagrees = ratio is not None and not least <= ratio <= most
        if not stuck and not disagrees:
            unchecked = ("counter_unchecked",) if known and not checkable else ()
            return counter.joules, "counter", 1.0, ratio if checkable else None, unchecked, None
        flags = ("counter_stuck",) if stuck else ("counter_disagrees",)
        reason = "the counter did not move" if stuck else f"the counter is {ratio:.2f} times the integral of power"
    if integral.coverage >= LEAST_COVERAGE:
        flags += ("low_coverage",) if integral.coverage < FULL_COVERAGE else ()
        return integral.joules, "integral", integral.coverage, ratio, flags, None
    told = f"power is known for {integral.coverage:.0%} of the window" if integral.coverage else "no power was sampled"
    return None, "none", integral.coverage, ratio, flags, f"{reason}; {told}"


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


def combine(readings: Mapping[str, EnergyReading], *, peak_w: float | None = None) -> EnergyReading:
    """Sum over sources of one scope and one window, by source name. Adds joules only if all are known.

    Args:
        readings: one reading per source; at least one.
        peak_w: highest power of the sum, if the caller knows it: peaks of different moments cannot be added.

    Raises:
        ValueError: no readings, or of different scopes: a node's power contains its devices'.
    """
    parts = list(readings.values())
    scopes = {part.scope for part in parts}
    if len(scopes) != 1:
        raise ValueError(f"only readings of one scope can be added, got {sorted(scopes) or 'none'}")
    missing = {name: part.reason for name, part in readings.items() if part.joules is None}
    joules = None if missing else fsum(part.joules for part in parts if part.joules is not None)
    seconds = max(part.seconds for part in parts)
    methods = {part.method for part in parts}
    periods = [part.period_s for part in parts if part.period_s is not None]
    return EnergyReading(
        joules=joules,
        seconds=seconds,
        scope=parts[0].scope,
        method="none" if missing else "counter" if methods == {"counter"} else "integral",
        period_s=max(periods, default=None),
        coverage=min(part.coverage for part in parts),
        n_samples=min(part.n_samples for part in parts),
        mean_w=None if joules is None else joules / seconds,
        peak_w=parts[0].peak_w if len(parts) == 1 else peak_w,
        flags=tuple(sorted({flag for part in parts for flag in part.flags})),
        reason="; ".join(f"{name}: {reason}" for name, reason in missing.items()) or None,
        counter_over_integral=parts[0].counter_over_integral if len(parts) == 1 else None,
    )

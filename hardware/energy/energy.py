"""Energy arithmetic: what the samples of one meter say about a window of time. Pure functions, no I/O.

Two ways lead to joules. A cumulative *counter* is read at both edges; the *integral* of sampled power holds each value
until the next sample (a sensor that repeats a value has measured it again: nothing is removed). The counter is
preferred, but never on its word alone: where power is sampled too, both must agree. Its readings are up to one
renewal old (`hardware.energy.renewal`): what that may be of the energy is stated as `uncertainty_j`. At rest, where
power does not change, the integral is taken instead unless the counter is as good as exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, hypot
from typing import Literal

from hardware.energy.counter_delta import CounterDelta, counter_delta
from hardware.energy.power import PowerIntegral, Sample, clean, integrate, median_gap_s
from hardware.energy.renewal import renewal_s
from hardware.meters.base import Scope

Method = Literal["counter", "integral", "none"]

SHORT_WINDOW_S = 5.0
"""Below this few readings make the integral, and a counter's own step shows: -3.7 % at 2 s, 0.0 % at 5 s on one board
(facts: peers.md 2.3, item 3)."""
STEADY_STEP = 0.01
"""Share of a time of rest up to which one renewal of the counter is let pass."""
UNCERTAIN = 0.05
"""Share of an energy from which its uncertainty is a warning, and no check against sampled power tells anything."""
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
    uncertainty_j: float | None = None
    """By how much a counter's joules may be off for it is renewed so seldom; None of an integral, or not known."""
    renewed_s: float | None = None
    """Time between two renewals of the counter that was taken; None of an integral, or not known."""
    reason: str | None = None
    """Why there are no joules; None when there are."""
    counter_over_integral: float | None = None
    """Result of the counter's self-check, where both exist."""

    def __post_init__(self) -> None:
        assert (self.joules is None) == (self.reason is not None), "null needs a reason, a value must have none"

    @property
    def uncertainty(self) -> float | None:
        """`uncertainty_j` as a share of the joules."""
        return self.uncertainty_j / self.joules if self.joules and self.uncertainty_j is not None else None


def measure(
    samples: Sequence[Sample],
    *,
    start_s: float,
    end_s: float,
    scope: Scope,
    period_s: float | None = None,
    energy_wrap_j: float | None = None,
    steady: bool = False,
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
        steady: whether power does not change in the window, as at rest: its readings then say more than a counter that
            is renewed seldom.

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
    renewed_s = renewal_s(ordered)
    joules, method, coverage, ratio, flags, reason = _choose(
        counter, integral, seconds=end_s - start_s, renewed_s=renewed_s, steady=steady
    )
    by_counter = joules is not None and method == "counter"
    short = end_s - start_s < SHORT_WINDOW_S and not by_counter
    # A counter that happens to say too little would make its own uncertainty too small.
    most_j = max(joules or 0.0, integral.joules if integral.coverage >= FULL_COVERAGE else 0.0)
    uncertainty_j = most_j * renewed_s / (end_s - start_s) if by_counter and renewed_s else None
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
        uncertainty_j=uncertainty_j,
        renewed_s=renewed_s if by_counter else None,
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


def _choose(
    counter: CounterDelta, integral: PowerIntegral, *, seconds: float, renewed_s: float | None, steady: bool
) -> _Choice:
    """Joules, method, coverage, self-check ratio, flags and reason: the counter if it holds, else the integral."""
    step = (renewed_s or 0.0) / seconds
    if steady and integral.coverage >= FULL_COVERAGE and (renewed_s is None or step > STEADY_STEP):
        return integral.joules, "integral", integral.coverage, None, (), None
    flags: tuple[str, ...] = (counter.flag,) if counter.flag else ()
    reason = counter.reason
    ratio = None
    if counter.joules is not None:
        known = integral.coverage > 0 and integral.joules > 0
        ratio = counter.joules / integral.joules if known else None
        least, most = _agreement(seconds, integral.coverage) if known else (0.0, 0.0)
        checkable = (
            ratio is not None
            and integral.coverage >= FULL_COVERAGE
            and step <= UNCERTAIN
            and AGREEMENT[0] <= ratio <= AGREEMENT[1]
        )
        stuck = counter.joules == 0
        disagrees = ratio is not None and not least <= ratio <= most
        if not stuck and not disagrees:
            unchecked = ("counter_unchecked",) if known and not checkable else ()
            return counter.joules, "counter", 1.0, ratio if checkable else None, unchecked, None
        due = step <= 1 / 2  # in less it may be between two renewals
        flags = (("counter_stuck",) if due else ()) if stuck else ("counter_disagrees",)
        reason = "the counter did not move" if stuck else f"the counter is {ratio:.2f} times the integral of power"
    if integral.coverage >= LEAST_COVERAGE:
        flags += ("low_coverage",) if integral.coverage < FULL_COVERAGE else ()
        return integral.joules, "integral", integral.coverage, ratio, flags, None
    told = f"power is known for {integral.coverage:.0%} of the window" if integral.coverage else "no power was sampled"
    return None, "none", integral.coverage, ratio, flags, f"{reason}; {told}"


def together(readings: Sequence[EnergyReading]) -> float | None:
    """Uncertainty of a sum: the edges fall independently between the counters' renewals; None if nothing is known."""
    known = [one.uncertainty_j for one in readings if one.uncertainty_j is not None]
    return hypot(*known) if known else None


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
        uncertainty_j=None if missing else together(parts),
        renewed_s=max((part.renewed_s for part in parts if part.renewed_s is not None), default=None),
        reason="; ".join(f"{name}: {reason}" for name, reason in missing.items()) or None,
        counter_over_integral=parts[0].counter_over_integral if len(parts) == 1 else None,
    )

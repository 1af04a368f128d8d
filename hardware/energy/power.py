"""The integral of sampled power, each value held until the next sample. Pure functions, no I/O."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import fsum, isfinite
from operator import itemgetter
from typing import NamedTuple

LATE_S, LATE_SHARE = 1.0, 1 / 20
"""How late a reading may come before its time counts as unknown: seconds, and share of the window."""
EDGE_S = 0.25
"""A reading asked for at an edge is taken within this time of it."""

Sample = tuple[float, float | None, float | None]
"""(`monotonic_s`, `power_w`, `energy_j`) of one source at one moment; what was not told is None."""


class PowerStep(NamedTuple):
    """A stretch of time with one power; a tuple, for a long trace has millions."""

    begin_s: float
    end_s: float
    watts: float
    known_s: float
    """How much of it the value was fresh enough to be believed."""


@dataclass(kw_only=True, slots=True, frozen=True)
class PowerIntegral:
    """Energy from sampled power over a window; `coverage` 0 means that there is none."""

    joules: float
    coverage: float
    """Share of the window, 0..1, whose held value was fresh."""
    peak_w: float | None


def clean(samples: Iterable[Sample]) -> list[Sample]:
    """Samples in time order; what is not finite or below 0 is no measurement and becomes None.

    So is a power of 0: what answers draws power, and only a sensor that does not work says otherwise.
    """
    sane = [(time_s, _sane(power_w) or None, _sane(energy_j)) for time_s, power_w, energy_j in samples]
    return sorted(sane, key=lambda sample: sample[0])


def _sane(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) and value >= 0 else None


def median_gap_s(ordered: Sequence[Sample]) -> float | None:
    """Median time between two samples; None with fewer than two."""
    gaps = [after[0] - before[0] for before, after in pairwise(ordered)]
    return statistics.median(gaps) if gaps else None


def held_for_s(period_s: float | None, window_s: float) -> float:
    """Age up to which a held value counts as known: one period.

    A twentieth of the window is let pass, up to a second: on a busy machine a reading of a fast meter comes late.
    """
    return max(period_s or 0.0, min(LATE_S, window_s * LATE_SHARE))


def _is_of_the_edge(age_s: float, period_s: float | None, window_s: float) -> bool:
    """Whether a value this old still holds at the window's start: one period, and a twentieth of the window."""
    return age_s <= min(period_s or EDGE_S, max(EDGE_S, window_s * LATE_SHARE))


def hold_steps(ordered: Sequence[Sample], *, start_s: float, end_s: float, period_s: float | None) -> list[PowerStep]:
    """The window as stretches of constant power; empty when no power was sampled up to its end.

    The last value before the window holds at its start if it was read at the edge, or as shortly before as
    `_is_of_the_edge` allows: earlier the device may have been at rest. Where there is none the first value inside
    stands in, but that stretch counts as unknown. The last value holds to the window's end.

    A tool that takes longer than its period to answer is read as often as it answers: its values hold that long.
    """
    points = [(time_s, power_w) for time_s, power_w, _ in ordered if power_w is not None and time_s < end_s]
    before = [point for point in points if point[0] <= start_s]
    inside = points[len(before) :]
    spacing_s = statistics.median(after[0] - one[0] for one, after in pairwise(points)) if len(points) > 1 else 0.0
    fresh = bool(before) and _is_of_the_edge(start_s - before[-1][0], period_s, end_s - start_s)
    points = [*before[-1:], *inside] if fresh or not inside else inside
    if not points:
        return []
    limit_s = held_for_s(max(period_s or 0.0, spacing_s), end_s - start_s)
    steps = []
    if points[0][0] > start_s:
        steps.append(PowerStep(begin_s=start_s, end_s=points[0][0], watts=points[0][1], known_s=0.0))
    for (time_s, watts), until_s in zip(points, [time_s for time_s, _ in points[1:]] + [end_s], strict=True):
        begin_s = max(time_s, start_s)
        if until_s > begin_s:
            known_s = min(until_s, time_s + limit_s) - begin_s
            steps.append(PowerStep(begin_s=begin_s, end_s=until_s, watts=watts, known_s=max(0.0, known_s)))
    return steps


def integrate(ordered: Sequence[Sample], *, start_s: float, end_s: float, period_s: float | None) -> PowerIntegral:
    """Energy, coverage and peak of sampled power over a window (`hold_steps` states the rule)."""
    steps = hold_steps(ordered, start_s=start_s, end_s=end_s, period_s=period_s)
    return PowerIntegral(
        joules=fsum(step.watts * (step.end_s - step.begin_s) for step in steps),
        coverage=min(1.0, fsum(step.known_s for step in steps) / (end_s - start_s)),
        peak_w=max((step.watts for step in steps if step.known_s > 0), default=None),
    )


def peak_of_sum(profiles: Sequence[Sequence[PowerStep]]) -> float | None:
    """Highest total power of several sources under the hold rule; None if one of them has no step.

    Args:
        profiles: one source's steps each, over the same window.
    """
    if not profiles or not all(profiles):
        return None
    changes = sorted((step.begin_s, i, step.watts) for i, steps in enumerate(profiles) for step in steps)
    now_w = [0.0] * len(profiles)
    peak_w = 0.0
    for _, moment in groupby(changes, key=itemgetter(0)):
        for _, i, watts in moment:
            now_w[i] = watts
        peak_w = max(peak_w, fsum(now_w))
    return peak_w

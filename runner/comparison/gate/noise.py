"""How far apart two unchanged runs lie on a machine, learned from the repeats of runs and from runs of one kind.

A run is summarised by its location, the mean of the logarithms of what its repeats measured. Two sources say how far
the locations of unchanged runs lie apart:

    within   s², the variance among repeats pooled over all runs at hand: P = s² / n (1 + 1/K). The 1/K is for what
             differs between runs and no repeat of one run shows; the more runs are known, the less is assumed
    between  S², the sample variance of the locations of K runs of the kind

They are weighed as in Smyth's moderated t: M = (d P + (K - 1) S²) / (d + K - 1), with d + K - 1 degrees of freedom;
d is those of s², and at most PRIOR: with one run it is the repeats' word alone, with ten mostly the runs'.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

PRIOR = 4.0
"""How many runs the word of the repeats weighs as much as, at most."""

Repeats = Sequence[float]
"""What the repeats of one run measured, all above 0."""


@dataclass(kw_only=True, slots=True, frozen=True)
class RunNoise:
    """The noise of a figure."""

    variance: float
    """M: of the location of one run, in squared logarithms."""
    freedom: float
    """Degrees of freedom of `variance`."""
    runs: int
    """K: runs between which it was seen; with 1, only repeats tell it."""

    @property
    def relative(self) -> float:
        """As a fraction: the standard deviation of a run's location."""
        return math.sqrt(self.variance)


def location(repeats: Repeats) -> float:
    """Mean of the logarithms."""
    return statistics.fmean(map(math.log, repeats))


def learn(runs: Sequence[Repeats], among: Sequence[Repeats], *, count: int) -> RunNoise | None:
    """The noise of a run of `count` repeats.

    Args:
        runs: unchanged runs of the kind: between them the noise is seen.
        among: these and the one that is judged: among the repeats of each it is seen.
        count: repeats of the runs that are compared.

    Returns:
        None where neither repeats nor runs tell it.
    """
    places = [location(run) for run in runs if len(run) >= count]
    known = max(len(places) - 1, 0)
    within, weight = _among_repeats(among)
    if weight + known < 1:
        return None
    prior = within / count * (1 + 1 / max(len(places), 1))
    between = statistics.variance(places) if known else 0.0
    variance = (weight * prior + known * between) / (weight + known)
    return RunNoise(variance=variance, freedom=weight + known, runs=len(places))


def _among_repeats(runs: Sequence[Repeats]) -> tuple[float, float]:
    """s², and its degrees of freedom, at most PRIOR."""
    several = [[math.log(value) for value in run] for run in runs if len(run) > 1]
    freedom = sum(len(run) - 1 for run in several)
    if not freedom:
        return 0.0, 0.0
    pooled = sum(statistics.variance(run) * (len(run) - 1) for run in several) / freedom
    return pooled, min(PRIOR, float(freedom))

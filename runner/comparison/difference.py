"""How many times one figure is another, with an interval, and what that may be called. Pure.

The ratio is that of the means. Its interval is Welch's, of the difference of the logarithms: by the delta method the
variance of log(mean) is (s ÷ mean)² ÷ n, the two add up, and Student's t has the degrees of freedom of Welch and
Satterthwaite. The bootstrap draws the repeats of each side anew, and takes the 2.5 % and 97.5 % quantiles of the ratio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from runner.comparison.sample import Sample
from runner.core.statistics import t_quantile
from runner.messages import tr
from runner.record.definition import Better

Method = Literal["welch", "bootstrap"]
Outcome = Literal["better", "worse", "changed", "no difference shown", "no interval", "not compared"]
DRAWS = 10_000
FEWEST = 5
"""Repeats of each side below which a bootstrap's interval would be far too short."""
_SEED = 1234


@dataclass(kw_only=True, slots=True, frozen=True)
class Difference:
    """One figure of one run against the same of the first run."""

    outcome: Outcome
    ratio: float | None = None
    """This ÷ first; null where that has no meaning."""
    interval: tuple[float, float] | None = None
    """95 % interval of the ratio; null where it was measured once."""
    freedom: float | None = None
    """Welch and Satterthwaite's degrees of freedom; null for a bootstrap."""
    counts: tuple[int, int] = (1, 1)
    """Fresh processes of the first and of this."""
    reason: str | None = None
    """Why there is no interval, or no ratio."""

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out 1."""
        return self.outcome in ("better", "worse", "changed")


def difference(first: Sample, other: Sample, better: Better | None, method: Method = "welch") -> Difference:
    """Compare two samples.

    Args:
        first: what is compared with.
        other: what is compared.
        better: which direction is an advantage; None: neither.
        method: how the interval is made.
    """
    counts = (first.count, other.count)
    if first.mean <= 0 or other.mean <= 0:
        return Difference(outcome="not compared", counts=counts, reason=tr("a ratio needs two values above 0"))
    ratio = other.mean / first.mean
    if first.deviation is None or other.deviation is None:
        why = tr("measured once: chance is not ruled out")
        return Difference(outcome="no interval", ratio=ratio, counts=counts, reason=why)
    if method == "bootstrap":
        return _bootstrapped(first, other, ratio, better)
    interval, freedom = _welch(first, other, math.log(ratio))
    return Difference(
        outcome=_outcome(interval, ratio, better), ratio=ratio, interval=interval, freedom=freedom, counts=counts
    )


def _welch(first: Sample, other: Sample, log_ratio: float) -> tuple[tuple[float, float], float]:
    variances = [(one.relative_variance or 0.0, one.count - 1) for one in (first, other)]
    total = sum(variance for variance, _ in variances)
    if total == 0:
        return (math.exp(log_ratio), math.exp(log_ratio)), float(sum(freedom for _, freedom in variances))
    freedom = total**2 / sum(variance**2 / freedom for variance, freedom in variances)
    half = t_quantile(freedom) * math.sqrt(total)
    return (math.exp(log_ratio - half), math.exp(min(log_ratio + half, 700.0))), freedom


def _bootstrapped(first: Sample, other: Sample, ratio: float, better: Better | None) -> Difference:
    counts = (first.count, other.count)
    if min(len(first.values), len(other.values)) < FEWEST:
        values = {"least": FEWEST, "first": counts[0], "other": counts[1]}
        why = tr("a bootstrap needs {least} repeats of each, and there are {first} and {other}", **values)
        return Difference(outcome="no interval", ratio=ratio, counts=counts, reason=why)
    import numpy as np

    draw = np.random.default_rng(_SEED)
    means = [
        draw.choice(np.asarray(one.values), size=(DRAWS, one.count), replace=True).mean(axis=1)
        for one in (first, other)
    ]
    low, high = np.quantile(means[1] / means[0], [0.025, 0.975])
    interval = (float(low), float(high))
    return Difference(outcome=_outcome(interval, ratio, better), ratio=ratio, interval=interval, counts=counts)


def _outcome(interval: tuple[float, float], ratio: float, better: Better | None) -> Outcome:
    if interval[0] <= 1 <= interval[1]:
        return "no difference shown"
    if better is None:
        return "changed"
    return "better" if (ratio > 1) == (better == "higher") else "worse"

"""The score of a suite: the weighted geometric mean of its cases' speed ratios. Pure arithmetic; see docs/suites.md."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from runner.core.statistics import t_quantile

Interval = tuple[float, float]
NO_REPEATS = "not every measured figure has repeats (measure.repeats=3): nobody knows how far it would vary"


@dataclass(kw_only=True, slots=True, frozen=True)
class Speed:
    """One system's speed in a case."""

    value: float
    """Above 0; the mean of the repeats where there are some."""
    repeats: tuple[float, ...] = ()
    """What each fresh process measured; fewer than two tell no spread."""
    exact: bool = False
    """A published figure: it has no spread that anybody knows, and is taken as it stands."""

    def spread(self) -> tuple[float, int] | None:
        """Variance of the mean's logarithm by the delta method, with its degrees of freedom; None where unknown."""
        if self.exact:
            return 0.0, 0
        if len(self.repeats) < 2:  # noqa: PLR2004
            return None
        error = statistics.stdev(self.repeats) / math.sqrt(len(self.repeats))
        return (error / self.value) ** 2, len(self.repeats) - 1


@dataclass(kw_only=True, slots=True)
class CaseScore:
    """One case of a suite, scored or not."""

    name: str
    weight: float
    state: Literal["scored", "missing", "not applicable"]
    """`missing`: asked for, and there is no ratio; `not applicable`: it measures no speed."""
    reason: str | None = None
    """Why it has no ratio."""
    figure: str | None = None
    unit: str = ""
    lower_is_better: bool = False
    ours: Speed | None = None
    theirs: Speed | None = None
    source: str = ""
    """Where the reference's figure comes from."""
    notes: list[str] = field(default_factory=list)
    """What a reader must know of it: not publishable, highest of several."""

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the reference; above 1 is faster, whichever way the figure improves."""
        if self.state != "scored" or self.ours is None or self.theirs is None:
            return None
        quotient = self.ours.value / self.theirs.value
        return 1 / quotient if self.lower_is_better else quotient


@dataclass(kw_only=True, slots=True)
class ScoreMean:
    """A weighted geometric mean of ratios with its 95 % interval."""

    value: float
    interval: Interval | None
    interval_reason: str | None
    cases: int
    weight: float
    """Sum of the cases' weights."""


@dataclass(kw_only=True, slots=True)
class Score:
    """Of one suite's run against a reference."""

    score: ScoreMean | None
    reason: str | None
    """Why there is no score."""
    partial: ScoreMean | None
    """Over the cases that both have, where there is no score. It is no score: what is missing may be what is slow."""
    cases: list[CaseScore]


def score_of(cases: Sequence[CaseScore]) -> Score:
    """The score where every case that measures a speed has a ratio; else the reason, and what the others come to."""
    scored = [case for case in cases if case.state == "scored"]
    missing = [case for case in cases if case.state == "missing"]
    mean = geometric_mean(scored) if scored else None
    if not scored and not missing:
        reason: str | None = "no case of it measures a speed"
    elif missing:
        count = len(scored) + len(missing)
        reason = f"{len(missing)} of {count} cases are missing: {', '.join(case.name for case in missing)}"
    else:
        return Score(score=mean, reason=None, partial=None, cases=list(cases))
    return Score(score=None, reason=reason, partial=mean, cases=list(cases))


def geometric_mean(cases: Sequence[CaseScore]) -> ScoreMean:
    """exp(Σ w ln r ÷ Σ w) of the cases' ratios r and weights w, with the interval of the delta method.

    The logarithm's variance is Σ (w ÷ Σ w)² (v_ours + v_theirs) with v = (standard error ÷ mean)²; its degrees of
    freedom are Welch's and Satterthwaite's.
    """
    total = math.fsum(case.weight for case in cases)
    logs = [math.log(_ratio(case)) * case.weight / total for case in cases]
    mean_log = math.fsum(logs)
    interval, why = _interval(mean_log, cases, total)
    return ScoreMean(value=math.exp(mean_log), interval=interval, interval_reason=why, cases=len(cases), weight=total)


def _interval(mean_log: float, cases: Sequence[CaseScore], total: float) -> tuple[Interval | None, str | None]:
    parts: list[tuple[float, int]] = []
    for case in cases:
        for side in (case.ours, case.theirs):
            assert side is not None
            spread = side.spread()
            if spread is None:
                return None, NO_REPEATS
            parts.append(((case.weight / total) ** 2 * spread[0], spread[1]))
    variance = math.fsum(part for part, _ in parts)
    below = math.fsum(part**2 / freedom for part, freedom in parts if freedom)
    if below == 0:  # repeats that agree to the last digit
        return (math.exp(mean_log), math.exp(mean_log)), None
    half = t_quantile(variance**2 / below) * math.sqrt(variance)
    return (math.exp(mean_log - half), math.exp(mean_log + half)), None


def _ratio(case: CaseScore) -> float:
    ratio = case.ratio
    assert ratio is not None
    return ratio

"""Mean, spread and number of independent measurements behind a figure."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

from runner.core.statistics import t_quantile
from runner.record.report import Figure


@dataclass(kw_only=True, slots=True, frozen=True)
class Sample:
    """What fresh processes measured."""

    mean: float
    deviation: float | None
    """Standard deviation of one process's value; null where only one measured it."""
    count: int
    values: tuple[float, ...] = ()
    """What each measured; empty where the report tells only their interval."""

    @property
    def relative_variance(self) -> float | None:
        """Squared relative standard error of the mean."""
        if self.deviation is None or not self.mean:
            return None
        return (self.deviation / self.mean) ** 2 / self.count


def sample_of(figure: Figure, case: dict[str, Any]) -> Sample | None:
    """The sample behind a figure; None where nothing was measured.

    Args:
        figure: as reported; of older reports the interval and the case's number of repeats tell the spread.
        case: the report's.
    """
    if figure.value is None:
        return None
    if figure.repeats is not None and len(figure.repeats) > 1:
        return Sample(
            mean=statistics.fmean(figure.repeats),
            deviation=statistics.stdev(figure.repeats),
            count=len(figure.repeats),
            values=figure.repeats,
        )
    count = case.get("repeats")
    if figure.interval is None or not isinstance(count, int) or count < 2:  # noqa: PLR2004 -- no spread of one
        return Sample(mean=figure.value, deviation=None, count=1)
    half = (figure.interval[1] - figure.interval[0]) / 2
    deviation = half / t_quantile(count - 1) * math.sqrt(count)
    return Sample(mean=figure.value, deviation=deviation, count=count)

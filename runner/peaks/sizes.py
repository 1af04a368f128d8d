"""Which size of a product or a transfer is the fastest, and what it reaches when it is timed at length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from runner.measure.ranks import UnmeasurableError
from runner.peaks.measure import Bench, Timed, Work, measure, warm_up
from runner.record.peaks.peak_figures import FAR_BELOW

TRY = 0.1
"""Of a figure's seconds: calls for each size that is tried."""
ATTEMPTS = 3
"""Times that a figure is timed at most, where it comes out far below the short try."""


@dataclass(kw_only=True, slots=True)
class Best:
    """The fastest of the sizes that were tried."""

    size: int
    work: Work
    tried: dict[int, float]
    """Size to its rate in a short try, operations or bytes per second."""
    stopped: str | None
    """Why no larger size was tried; null when all were."""

    def measure(self, bench: Bench) -> Timed:
        """Timed as every figure is; again where it comes out far below the short try, and the fastest is kept.

        What was reached for a moment can be reached: below it, something took the device or its clocks away meanwhile,
        and another guest of a virtual machine's host may do so unseen.
        """
        best: Timed | None = None
        for _ in range(ATTEMPTS):
            timed = measure(self.work, bench)
            best = timed if best is None or timed.rate > best.rate else best
            if self.share_of_try(best) >= FAR_BELOW:
                break
        assert best is not None
        return best

    def share_of_try(self, timed: Timed) -> float:
        """What was measured ÷ what the short try of the same size reached."""
        return timed.rate / self.tried[self.size]

    def conditions(self, timed: Timed, *, scale: float) -> dict[str, Any]:
        """What is filed of the sizes; rates are divided by `scale`."""
        return {
            "tried": {str(size): rate / scale for size, rate in self.tried.items()},
            "stopped": self.stopped,
            "share_of_try": self.share_of_try(timed),
        }


def sweep(sizes: Sequence[int], amount: Callable[[int], float], build: Callable[[int], Work], bench: Bench) -> Best:
    """Try sizes in growing order and build the fastest again.

    Args:
        sizes: ascending.
        amount: operations or bytes of one call at a size.
        build: allocates a size's operands, calls once and verifies what came out; fails on every rank or on none.
        bench: where.

    Raises:
        UnmeasurableError: not even the smallest size can be done.
    """
    tried: dict[int, float] = {}
    stopped = None
    for size in sizes:
        if tried:
            expected_s = amount(size) / list(tried.values())[-1]
            if expected_s > bench.longest_call_s:
                stopped = f"size {size}: one call would take {expected_s:.2g} s of {bench.seconds:g} s"
                break
        try:
            work = build(size)
        except UnmeasurableError as error:
            if not tried:
                raise
            stopped = f"size {size}: {error}"
            break
        tried[size] = amount(size) / warm_up(work, bench, TRY * bench.seconds)
        del work
    best = max(tried, key=lambda size: tried[size])
    return Best(size=best, work=build(best), tried=tried, stopped=stopped)

"""How often an energy counter is renewed, found from its readings. Pure functions, no I/O.

A driver renews its counter on a clock of its own, NVML's about every 0.1 s. What a reading says is that old at most,
so a difference of two readings is off by up to one renewal's energy.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import islice, pairwise
from math import log

from hardware.energy.power import Sample

MOST_PAIRS = 1000
"""So many pairs of readings tell the time well enough."""
SHORTER = 0.95
"""Pairs of readings closer together than this share of the median time between changes tell more than it does."""
GROWTH = 1.02
"""Of one time that is tried to the next."""
AS_LIKELY = 1.0
"""Difference of two logarithms of likelihood up to which the longer time is taken: few pairs tell it roughly."""
LEAST_CHANGES = 2
"""With fewer nobody knows how far they lie apart."""


def renewal_s(ordered: Sequence[Sample]) -> float | None:
    """Seconds from one renewal of the counter to the next; None with fewer than two changes of its value.

    The median time between changes, where the counter is read as often as it is renewed. Read more seldom it changes
    every time, and the median is the reader's period; then pairs of readings that happen to be close together (marks,
    edges) tell: two that are `g` apart differ with a chance of `g` over the renewal time. The longest time that is
    about as likely as the likeliest is taken, and never more than the median.

    Args:
        ordered: cleaned samples in time order.
    """
    readings = [(time_s, energy_j) for time_s, _, energy_j in ordered if energy_j is not None]
    changes = [after[0] for before, after in pairwise(readings) if after[1] != before[1]]
    if len(changes) < LEAST_CHANGES:
        return None
    longest_s = statistics.median(after - before for before, after in pairwise(changes))
    pairs = (
        (after[0] - before[0], after[1] != before[1])
        for before, after in pairwise(readings)
        if 0 < after[0] - before[0] < SHORTER * longest_s
    )
    close = list(islice(pairs, MOST_PAIRS))
    if not close:
        return longest_s
    tried = [longest_s]
    shortest_s = min(gap_s for gap_s, _ in close)
    while tried[-1] > shortest_s:
        tried.append(max(tried[-1] / GROWTH, shortest_s))
    found = [(time_s, _likelihood(close, time_s)) for time_s in tried]
    most = max(likelihood for _, likelihood in found)
    return max(time_s for time_s, likelihood in found if likelihood >= most - AS_LIKELY)


def _likelihood(pairs: Sequence[tuple[float, bool]], time_s: float) -> float:
    """Logarithm of how likely a renewal every `time_s` makes it that just these pairs differ."""
    total = 0.0
    for gap_s, differs in pairs:
        share = min(1.0, gap_s / time_s)
        if not differs and share >= 1:
            return float("-inf")
        total += log(share if differs else 1 - share)
    return total

"""How far the clock of another machine is from this one's, by asking it a few times (Cristian 1989)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 8
"""Questions; the quickest answer says most."""
NOTABLE_S = 1.0
"""From this offset on a reader is told: logs of the nodes do not fit together by their own times."""


@dataclass(kw_only=True, slots=True, frozen=True)
class ClockOffset:
    """The other machine's wall clock less this one's."""

    offset_s: float
    uncertainty_s: float
    """Half of the quickest round trip: the offset lies within so much."""


def clock_offset(ask: Callable[[], float], *, clock: Callable[[], float] = time.time) -> ClockOffset:
    """Ask for the other machine's time.

    Args:
        ask: one question; returns the other machine's wall-clock time, Unix seconds.
        clock: this machine's wall clock, Unix seconds.
    """
    trips = []
    for _ in range(ROUNDS):
        sent_s = clock()
        theirs_s = ask()
        received_s = clock()
        trips.append((received_s - sent_s, theirs_s - (sent_s + received_s) / 2))
    trip_s, offset_s = min(trips)
    return ClockOffset(offset_s=offset_s, uncertainty_s=trip_s / 2)

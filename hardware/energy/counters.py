"""What a cumulative counter says about a window of time, such as the bytes a disk has read. Pure functions, no I/O.

The counter is read at moments of its own, not at the window's edges: its value there is taken from the straight line
between the readings around them. That shifts at most what was counted between two neighbouring readings.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import pairwise

EDGE_GAP_S = 15.0
"""Between readings further apart nobody knows when the counting was done; the slowest meters read every 10 s."""


@dataclass(kw_only=True, slots=True)
class Counter:
    """Readings of one counter in time order; whole numbers below 2^53, which doubles hold exactly."""

    times_s: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, time_s: float, value: float) -> None:
        """Append a reading."""
        self.times_s.append(time_s)
        self.values.append(value)

    def increase(self, start_s: float, end_s: float) -> tuple[float | None, str | None]:
        """By how much the counter grew over a window, or None and why.

        Raises:
            ValueError: the window does not end after its start.
        """
        if end_s <= start_s:
            raise ValueError(f"a window ends after its start, not from {start_s} to {end_s}")
        if not self.times_s or self.times_s[0] > start_s or self.times_s[-1] < end_s:
            return None, "the counter was not read on both sides of this time"
        first = bisect_right(self.times_s, start_s) - 1
        last = bisect_left(self.times_s, end_s)
        if any(after < before for before, after in pairwise(self.values[first : last + 1])):
            return None, "the counter went back: it was reset, or one of the things it adds up is gone"
        begin, end = self._at(start_s, first), self._at(end_s, last - 1)
        if begin is None or end is None:
            return None, f"the counter was not read for more than {EDGE_GAP_S:g} s at an edge of this time"
        return end - begin, None

    def _at(self, time_s: float, before: int) -> float | None:
        """The value at a moment between reading `before` and the next one."""
        if self.times_s[before] == time_s:
            return self.values[before]
        gap_s = self.times_s[before + 1] - self.times_s[before]
        if self.times_s[before + 1] == time_s:
            return self.values[before + 1]
        if gap_s > EDGE_GAP_S:
            return None
        share = (time_s - self.times_s[before]) / gap_s
        return self.values[before] + share * (self.values[before + 1] - self.values[before])

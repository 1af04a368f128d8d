"""Where a sweep is, and when it will end. Pure: prints nothing, and is given its clocks."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from runner.console.progress import duration
from runner.messages import tr


@dataclass(kw_only=True, slots=True)
class SweepProgress:
    """Follows the cases of one sweep."""

    names: Sequence[str]
    """Of the cases, in the order in which they run."""
    expected_s: Mapping[int, float]
    """How long cases took in earlier sweeps, by their place."""
    clock: Callable[[], float]
    """Monotonic seconds."""
    now: Callable[[], datetime] = datetime.now
    _began_s: float = field(init=False)
    _case_began_s: float = field(init=False)
    _took_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began_s = self._case_began_s = self.clock()

    def begin(self, number: int) -> str:
        """The line before a case, by its place from 0 on: which one it is, how long it has been, and what is left."""
        self._case_began_s = self.clock()
        said = tr("Case {number} of {count}: {name}", number=number + 1, count=len(self.names), name=self.names[number])
        parts = [tr("elapsed {time}", time=duration(self.clock() - self._began_s))] if number else []
        left_s = self.left_s(number)
        if left_s is not None:
            end = (self.now() + timedelta(seconds=left_s)).strftime("%H:%M")
            parts.append(tr("about {time} left, until {end}", time=duration(left_s), end=end))
        return f"{said} ({', '.join(parts)})" if parts else said

    def end(self, *, ran: bool) -> float:
        """Take the end of the case that was begun; returns its seconds.

        Args:
            ran: whether it did; one that was done already says nothing of how long the others take.
        """
        took_s = self.clock() - self._case_began_s
        if ran:
            self._took_s.append(took_s)
        return took_s

    def left_s(self, number: int) -> float | None:
        """Seconds that this case and those after it are expected to take; None where nobody knows.

        A case takes what it took in an earlier sweep; one that never ran takes the mean of those that did here, or else
        of those whose time is known.
        """
        remaining = range(number, len(self.names))
        known = self._took_s or list(self.expected_s.values())
        if not known and not all(one in self.expected_s for one in remaining):
            return None
        usual = statistics.fmean(known) if known else 0.0
        return sum(self.expected_s.get(one, usual) for one in remaining)

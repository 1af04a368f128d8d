"""What a person sees of a sweep's jobs: a line when something about a case is new, and one a minute when nothing is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from runner.config.schema import Case
from runner.console.progress import duration
from runner.core.lasting_output import standard_output
from runner.launchers.slurm_queue import JobState
from runner.messages import tr
from runner.sweeping.follow import Followed
from runner.views.page import screen

SAY_S = 60.0
"""Between two lines when nothing happens."""


class JobTeller:
    """Says where the cases are."""

    def __init__(self, cases: Mapping[int, Case], clock: Callable[[], float] = time.monotonic) -> None:
        self._cases, self._clock = cases, clock
        self._places = {number: place for place, number in enumerate(cases, start=1)}
        self._said_s = clock()
        self._told: dict[int, str] = {}

    def phase(self, one: Followed, job: str | None, state: JobState | None) -> None:
        """Where a case is, where that is new.

        Args:
            one: the case.
            job: its job's number, where there is one.
            state: what SLURM says of it.
        """
        started = one.files.started
        if one.phase == "running" and started:
            number = started["job"] or job
            by = tr(" (job {number})", number=number) if number else ""
            told = tr("runs on {host}{by}", host=started["host"], by=by)
        elif state is not None and state.state == "PENDING":
            told = tr("waits in the queue as job {number}: {reason}", number=job, reason=state.reason)
        else:
            return
        if self._told.get(one.number) != told:
            self._told[one.number] = told
            self.say(f"{self._title(one)}: {told}")

    def end(self, one: Followed, code: int, took_s: float | None) -> None:
        """How a case ended, and how long it took where that is known."""
        ending = tr("done") if code == 0 else tr("failed (exit {code})", code=code)
        took = "" if took_s is None else f", {duration(took_s)}"
        self.say(f"{self._title(one)}: {ending}{took}")

    def still(self, open_cases: Iterable[Followed]) -> None:
        """That the sweep goes on, when nothing was said for a while."""
        if self._clock() - self._said_s < SAY_S:
            return
        phases = Counter(one.phase for one in open_cases)
        count, running, waiting = len(self._cases), phases["running"], phases["waiting"]
        self.say(tr("{running} of {count} cases run, {waiting} wait", running=running, count=count, waiting=waiting))

    def say(self, text: str) -> None:
        """A line."""
        self._said_s = self._clock()
        screen(standard_output()).print(text, soft_wrap=True, markup=False)

    def _title(self, one: Followed) -> str:
        count, name = len(self._cases), self._cases[one.number].name
        return tr("Case {number} of {count}: {name}", number=self._places[one.number], count=count, name=name)

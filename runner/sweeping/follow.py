"""Where every case of a distributed sweep is, told from its files; nothing here waits, prints or starts anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from runner.core.lock import is_locked
from runner.record.report import Report, load_report
from runner.sweeping.job_files import CaseFiles, written_at

Phase = Literal["waiting", "running", "ended", "lost"]

STALE_S = 60.0
"""A job that has given no sign of life for so long is taken for gone, where nobody else can be asked."""
SETTLE_S = 15.0
"""How long the last files of a job that is gone may take to show in a shared file system."""


@dataclass(kw_only=True, slots=True)
class Followed:
    """One case, from its submission to its end."""

    number: int
    """Its place in the sweep."""
    files: CaseFiles
    clock: Callable[[], float]
    """Monotonic seconds."""
    phase: Phase = "waiting"
    _beats: object = None
    _beat_s: float | None = None
    _gone_s: float | None = field(default=None)

    @property
    def folder(self) -> Path | None:
        """The run folder that its command took."""
        placed = self.files.placed
        return placed.folder if placed else None

    def look(self, *, gone: bool | None) -> Phase:
        """Look again.

        Args:
            gone: whether its job is known to be gone; None where only the job's own signs of life tell.
        """
        if self.phase in ("ended", "lost"):
            return self.phase
        if self.files.ended is not None:
            self.phase = "ended"
        elif self.files.started is not None:
            self.phase = "running"
        if self.phase != "ended" and self._is_gone(gone):
            self.phase = "ended" if self.report() is not None else "lost"
        return self.phase

    def report(self) -> Report | None:
        """What this run left as its result; one that an earlier run had left in the same folder is none."""
        placed = self.files.placed
        if placed is None or (not placed.done and written_at(placed.folder) == placed.earlier):
            return None
        try:
            return load_report(placed.folder / "report.json")
        except (OSError, ValueError):
            return None

    def _is_gone(self, gone: bool | None) -> bool:
        """Whether no process looks after the case any more, and its last files had time to show."""
        now_s = self.clock()
        if gone is None and self.phase == "running":
            beats = self.files.beats
            if self._beat_s is None or beats != self._beats:
                self._beats, self._beat_s = beats, now_s
            gone = now_s - self._beat_s > STALE_S
        folder = self.folder
        if not gone or (folder is not None and is_locked(folder)):
            self._gone_s = None
            return False
        self._gone_s = now_s if self._gone_s is None else self._gone_s
        return now_s - self._gone_s >= SETTLE_S

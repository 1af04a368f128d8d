"""One trial of a search: an ordinary run with another batch size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.config.checks import on_host
from runner.config.plan import Planned
from runner.core.errors import InterruptedRunError, OutOfMemoryError
from runner.core.interrupts import Interrupts
from runner.launch.auto_batch import DEVICE_MEMORY, HOST_MEMORY
from runner.launch.batch_case import with_batch, with_change
from runner.launch.submit import run_case
from runner.record.names import number
from runner.record.report import Report, load_report
from runner.tuning.trials import Found, State, Trial


@dataclass(kw_only=True, slots=True)
class TrialRunner:
    """Runs the trials of one search in its folder."""

    planned: Planned
    folder: Path
    found: Found
    interrupts: Interrupts

    def run(self, batch_size: int) -> Trial:
        """Run a batch size; whatever happens becomes a trial."""
        case = self.planned.case
        assert case is not None
        if self.interrupts.asked:
            return Trial(batch_size=batch_size, state="interrupted", exit_code=InterruptedRunError.exit_code)
        tried = with_batch(case, batch_size)
        places: list[Path] = []
        code = run_case(
            tried,
            self.folder / f"{len(self.found.trials)}_batch{batch_size}",
            with_change(self.planned.division, case, tried),
            forked=True,
            vendor_detected=False,
            tuning=self.planned.tuning,
            placed=lambda folder, done: places.append(folder),
        )
        place = places[-1]
        return self._judged(batch_size, code, place, load_report(place / "report.json"))

    def _judged(self, batch_size: int, code: int, place: Path, report: Report) -> Trial:
        case, figure = self.planned.case, report.figures.get(self.found.figure)
        assert case is not None
        names = HOST_MEMORY if on_host(case) else DEVICE_MEMORY
        seen = [report.figures[name].value for name in names if name in report.figures]
        memory = max((value for value in seen if value is not None), default=None)
        value = figure.value if figure is not None else None
        self.found.unit = figure.unit if figure is not None else self.found.unit
        state, reason = self._state(code, report, value, memory)
        return Trial(
            batch_size=batch_size,
            state=state,
            value=value if state == "done" else None,
            memory_gib=memory,
            reason=reason,
            exit_code=code,
            folder=place.name if place.parent == self.folder else str(place),
        )

    def _state(self, code: int, report: Report, value: float | None, memory: float | None) -> tuple[State, str | None]:
        limit = self.found.memory_limit_gib
        error = report.error["message"].partition("\n")[0] if report.error else None
        if code == InterruptedRunError.exit_code:
            return "interrupted", error
        if code == OutOfMemoryError.exit_code:
            return "out of memory", error
        if code or value is None:
            return "failed", error or f"{self.found.figure} was not measured"
        if limit is not None and memory is None:
            return "failed", "nothing told how much memory it took, and there is a limit"
        if limit is not None and memory is not None and memory > limit:
            return "out of memory", f"it took {number(memory)} GiB, and tuning.memory_limit_gib is {limit:g}"
        return "done", None

"""What a person sees while a case runs: a header, a line of progress, and the result.

Runs in the parent, beside the measurement: draws at most four times a second, and prints sparse plain lines where there
is no terminal.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from rich.cells import set_cell_size
from rich.console import Console as RichConsole
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column
from rich.text import Text

from runner.config.schema import Case
from runner.console.header import case_marks, header, targets
from runner.console.progress import Progress, Snapshot, duration
from runner.core.errors import BY_NAME, TouchstoneError
from runner.core.events import Event, Name
from runner.core.lasting_output import standard_output
from runner.messages import tr, tr_recorded
from runner.record.names import number
from runner.record.report import Report
from runner.record.stages import Stage
from runner.record.task import task_of
from runner.views.page import WIDTH, clean, screen
from runner.views.tables import table

REFRESH_S = 0.25
"""Between two drawings of the progress line."""
PLAIN_S = 10.0
"""Without a terminal: between two lines when nothing else is said."""
SAME_S = 60.0
"""Without a terminal: between two lines that say the same."""
_TRACEBACK = "Traceback (most recent call last)"


class Console:
    """Shows one case, from `start` to `finish`."""

    def __init__(
        self,
        case: Case,
        *,
        terminal: bool | None = None,
        file: IO[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is shown yet.

        Args:
            case: what runs.
            terminal: whether to draw; None looks at the output.
            file: where to; None is standard output.
            clock: monotonic seconds, of the same clock as the events'.
        """
        self._case, self._clock = case, clock
        self._screen = screen(file or standard_output(), terminal=terminal)
        self._is_stdout = file is None
        self._progress = Progress(case=case)
        self._bar: Bar | None = None
        self._bar_task = TaskID(0)
        self._began_s = self._last_s = clock()
        self._doing = self._last_plain = ""
        self._parts = 0
        self._said: set[str] = set()

    def start(self, run_folder: Path, vendor_detected: bool, tuning: str | None = None) -> None:
        """Say what runs, and begin to show progress."""
        case = self._case
        self._print(f"{case.task.name} {case.model.name}" if case.has_model else case.task.name, style="bold")
        for label, text in header(case, run_folder, vendor_detected, tuning):
            self._print(f"  {set_cell_size(label, 10)} {text}")
        for mark in case_marks(case):
            self._print(f"  {mark}", style="bold yellow")
        self._began_s = self._clock()
        if self._screen.is_terminal:
            self._bar = _bar(self._screen, redirect=self._is_stdout)
            self._bar_task = self._bar.add_task("", total=None, left="", detail="")
            self._bar.start()
            # A terminal whose program ends without `finish` would be left without its cursor.
            atexit.register(self.stop)
        self._show()

    def on_event(self, event: Event) -> None:
        """Take in one event of any rank."""
        if event.name == Name.WARNING:
            self._once(tr("Warning: {text}", text=tr_recorded(str(event.value.get("message")))), style="yellow")
        elif event.name == Name.ERROR:
            self._tell_error(event.value)
            self._progress.update(event)
        elif event.rank == 0:
            if event.name == Name.INIT_START:
                self._begin_part()
            line = _line(event, self._case)
            if line:
                self._say(line)
            self._progress.update(event)
            self._show()

    def tick(self) -> None:
        """Let the display follow the clock."""
        self._show()

    def stop(self) -> None:
        """Take the progress line away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
            atexit.unregister(self.stop)

    def finish(self, report: Report, run_folder: Path, filed: Sequence[tuple[str, str]] = ()) -> None:
        """Show the result and where everything lies; `filed` are further places, each with its label."""
        self.stop()
        self._screen.print()
        told = report.error is not None and report.error["message"] in self._said
        self._screen.print(table(report, with_error=not told, width=min(WIDTH, self._screen.width)))
        if self._case.debug and report.error is not None:
            self._print(last_traceback(run_folder))
        self._screen.print()
        shown = [(tr("Run folder"), str(run_folder)), (tr("All figures"), f"python -m runner.report {run_folder}")]
        for label, place in [*shown, *filed]:
            self._print(f"{set_cell_size(label, 12)} {place}")

    def say(self, text: str) -> None:
        """One line with the time since start, about what the engine itself does."""
        self._say(text)

    def fail(self, failure: TouchstoneError) -> None:
        """Say why there is not even a result."""
        self.stop()
        self._print("")
        ended = tr("{ending} (exit {code})", ending=type(failure).__name__, code=failure.exit_code)
        self._print(f"{ended}.", style="bold red")
        self._print(tr_recorded(str(failure)), style="red")

    def skip(self, run_folder: Path) -> None:
        """Say that this very case is done already."""
        self._print(tr("{case} is done already (resume=true): {folder}", case=self._case.name, folder=run_folder))
        self._print(tr("Show it with: {command}", command=f"python -m runner.report {run_folder}"))

    def warn(self, text: str) -> None:
        """Say something that does not end the run."""
        self._print(text, style="yellow")

    def _begin_part(self) -> None:
        """A worker came up: the first one, the next repeat, or another attempt after a crash."""
        self._progress = Progress(case=self._case)
        self._parts += 1
        repeats = self._case.measure.repeats
        if repeats > 1 and not self._case.run.retries:
            self._say(tr("repeat {number} of {count}", number=self._parts, count=repeats))

    def _show(self) -> None:
        now_s = self._clock()
        snapshot = self._progress.at(now_s)
        doing = _doing(snapshot)
        changed, self._doing = doing != self._doing, doing
        if self._bar is not None:
            if now_s - self._last_s >= REFRESH_S:
                self._last_s = now_s
                self._draw(self._bar, snapshot)
        elif changed:
            self._plain(doing)
        elif now_s - self._last_s >= PLAIN_S:
            done = "" if snapshot.fraction is None else f"{snapshot.fraction:.0%}"
            detail = "" if snapshot.stage is Stage.PREPARING else snapshot.detail
            self._plain(", ".join(part for part in (doing, done, snapshot.left, detail) if part))

    def _plain(self, text: str) -> None:
        """A line of progress without a terminal; the same one again only after `SAME_S`."""
        if text != self._last_plain or self._clock() - self._last_s >= SAME_S:
            self._last_plain = text
            self._say(text)

    def _draw(self, bar: Bar, snapshot: Snapshot) -> None:
        total = None if snapshot.fraction is None else 1.0
        bar.update(
            self._bar_task,
            description=f"{duration(self._clock() - self._began_s):>6} {tr(snapshot.words)}",
            total=total,
            completed=snapshot.fraction or 0.0,
            left=snapshot.left,
            detail=snapshot.detail,
        )
        # `update` keeps the old total when it is given none.
        bar.tasks[0].total = total
        bar.refresh()

    def _say(self, text: str) -> None:
        """One line with the time since start; on a terminal above the progress line."""
        self._last_s = self._last_s if self._bar is not None else self._clock()
        self._print(f"[{self._clock() - self._began_s:7.1f} s] {text}")

    def _once(self, text: str, *, style: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._print(text, style=style)

    def _tell_error(self, value: dict[str, Any]) -> None:
        """One paragraph per cause; further ranks that fail for the same reason are not repeated."""
        message = str(value.get("message"))
        if message in self._said:
            return
        self._said.add(message)
        kind = BY_NAME.get(str(value.get("class")))
        meaning = f" {(kind.__doc__ or '').splitlines()[0]}" if kind else ""
        self._print("")
        ended = tr("{ending} (exit {code})", ending=value.get("class"), code=value.get("exit_code"))
        self._print(f"{ended}.{meaning}", style="bold red")
        self._print(tr_recorded(message), style="red")

    def _print(self, text: str, *, style: str = "") -> None:
        self._screen.print(Text(clean(text), style=style), soft_wrap=True)


def last_traceback(run_folder: Path) -> str:
    """The last traceback in the run's worker.log, of its last repeat where it has some."""
    logs = sorted(run_folder.glob("**/worker.log"), key=lambda path: path.stat().st_mtime)
    text = logs[-1].read_text(errors="replace") if logs else ""
    begin = text.rfind(_TRACEBACK)
    return text[begin:].strip() if begin >= 0 else tr("No traceback was written: the worker ended without one.")


def _doing(snapshot: Snapshot) -> str:
    """What goes on, in words: the stage, and what is being prepared."""
    named = snapshot.stage is Stage.PREPARING and snapshot.detail
    return f"{tr(snapshot.words)}: {snapshot.detail}" if named else tr(snapshot.words)


def _bar(on: RichConsole, *, redirect: bool) -> Bar:
    """The progress line; with `redirect`, what others write to the terminal appears above it."""
    return Bar(
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.fields[detail]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
        console=on,
        auto_refresh=False,
        transient=True,
        redirect_stdout=redirect,
        redirect_stderr=redirect,
    )


def _line(event: Event, case: Case) -> str | None:
    """What an event is worth saying in a line of its own."""
    value = event.value
    if event.name == Name.ENVIRONMENT and task_of(case).on_device:
        names = [str(device.get("name")) for device in value.get("devices") or []]
        return tr("device: {names}", names=", ".join(dict.fromkeys(names))) if names else None
    if event.name == Name.WARMUP_END:
        steps = value.get("steps")
        if value.get("steady"):
            return tr("steady after {steps} steps of warm-up", steps=steps)
        why = tr_recorded(str(value.get("reason")))
        return tr("NOT steady after {steps} steps of warm-up: {reason}", steps=steps, reason=why)
    if event.name == Name.RESUMED:
        return tr("continues from step {step} of an earlier part", step=value.get("step"))
    if event.name in (Name.EVALUATE, Name.INIT_EVALUATION):
        return _evaluation(value, case)
    return None


def _evaluation(value: dict[str, Any], case: Case) -> str:
    measured = value.get("quality") or {}
    results = ", ".join(
        f"{name} {tr('not a number') if result is None else number(result)}" for name, result in measured.items()
    )
    verdict = tr("target reached") if value.get("reached") else tr("target {goal}", goal=targets(case))
    return tr(
        "evaluation at step {step}, {samples} {unit}: {results} ({verdict})",
        step=f"{value.get('step', 0):,}",
        samples=f"{value.get('samples', 0):,}",
        unit=case.model.unit,
        results=results,
        verdict=verdict,
    )

"""One case from beginning to end: sampler, worker, report. What `python -m runner` does once it knows the case."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from runner.cluster.gathering import Gathering
from runner.cluster.running import run_on_nodes
from runner.config.division import Division
from runner.config.schema import Case
from runner.console.console import Console
from runner.core.errors import InterruptedRunError, TouchstoneError, WorkerCrashedError
from runner.core.events import Event, EventWriter, Name
from runner.core.interrupts import Interrupts
from runner.core.lock import let_go
from runner.core.storage import free_reserve, reserve, storage_error
from runner.launch.attempt import attempt, interrupted
from runner.launch.folder import claim
from runner.launch.sampling import end_sampler, start_meters
from runner.measure.context import AUTOLOAD_VARIABLE, PARENT_VARIABLE
from runner.measure.step_records import StepsFile
from runner.record.names import is_quality
from runner.record.report import Report
from runner.record.run_record import PARENT_LOG
from runner.record.task import task_of
from runner.results.build import build
from runner.results.parallel import one_device
from runner.results.repeats import REPEATS
from runner.tracking import Tracker
from runner.views.charts.run import draw


@dataclass(kw_only=True, slots=True)
class CaseRunner:
    """Runs a case in its folder; every end, good or bad, becomes a report."""

    case: Case
    folder: Path
    division: Division
    console: Console
    forked: bool
    """Whether the worker comes from a sweep's server."""
    interrupts: Interrupts = field(default_factory=Interrupts)
    guard: Callable[[int], TouchstoneError | None] | None = None
    """Is asked all the time whether the worker, by its process, must end."""
    gathering: Gathering | None = None
    """The nodes of a case on several machines, once they are here."""

    def run(self) -> int:
        """Run the case, file it, show it; returns the exit code."""
        try:
            return self._run()
        except OSError as error:
            return self._lost(storage_error(error, self.folder))

    def _run(self) -> int:
        tracker: Tracker | None = None
        if self.case.tracking.name == "mlflow":
            tracker = Tracker(self.folder, self.case.tracking, say=self.console.say)
        begin_tracking = _once(tracker.start if tracker else None)
        repeats = self.case.measure.repeats if task_of(self.case).on_device else 1
        if self.case.topology.name == "cluster" and task_of(self.case).on_device:
            self.gathering = Gathering(self.case, self.folder, say=self.console.say)
        try:
            if repeats == 1:
                self.part(self.folder, begin_tracking)
            else:
                self._repeat(repeats, begin_tracking)
        finally:
            if self.gathering is not None:
                self.gathering.close()
        report = _save(self.folder)
        self._draw(report)
        begin_tracking()
        warning = self._file(tracker, report) if tracker else None
        if warning:
            with suppress(OSError):
                # As an event, so that the report with it still follows from the folder.
                EventWriter(self.folder / "events" / PARENT_LOG, rank=-1).emit(Name.WARNING, {"message": warning})
                report = _save(self.folder)
        self.console.finish(report, self.folder, tracker.where() if tracker and not warning else ())
        return report.exit_code

    def _draw(self, report: Report) -> None:
        """Save the charts. The result is written; pictures of it are not worth an error."""
        try:
            draw(self.folder, report)
            report.save(self.folder / "report.json")  # once more: its hash covers the plots too
        except ModuleNotFoundError as error:
            self.console.say(f"no charts are drawn: the Python package {error.name} is missing here")
        except (OSError, ValueError):
            pass

    def _file(self, tracker: Tracker, report: Report) -> str | None:
        """File the report. Ctrl-C gives that up; where it has ended the run already, nobody waits long."""
        self.console.say("filing the result in MLflow")
        if self.interrupts.asked:
            return tracker.finish(report, hurry=True)
        try:
            with self.interrupts.allowed():
                return tracker.finish(report)
        except KeyboardInterrupt:
            return tracker.give_up()

    def _lost(self, failure: TouchstoneError) -> int:
        """Nothing can be written any more: keep what the room set aside allows, and say the rest."""
        free_reserve(self.folder)
        try:
            _tell_end(EventWriter(self.folder / "events" / PARENT_LOG, rank=-1), failure)
            report = _save(self.folder)
        except (OSError, ValueError):
            self.console.fail(failure)
        else:
            self.console.finish(report, self.folder)
        return failure.exit_code

    def _repeat(self, repeats: int, begin_tracking: Callable[[], None]) -> None:
        """Run the case in fresh processes, one after the other; the first failure ends it."""
        events = self._parent_events(self.folder)
        events.emit(Name.LAUNCH_TRAINING, {"repeats": repeats})
        single = replace(self.case, measure=replace(self.case.measure, repeats=1))
        failure: TouchstoneError | None = None
        for number in range(1, repeats + 1):
            folder = claim(single, self.folder / REPEATS / str(number))
            try:
                failure = replace(self, case=single, folder=folder).part(folder, begin_tracking)
            finally:
                let_go(folder)
            if failure is not None:
                break
        _tell_end(events, failure)

    def part(self, folder: Path, begin_tracking: Callable[[], None]) -> TouchstoneError | None:
        """One worker's life, with further attempts after a crash where `run.retries` allows them."""
        events = self._parent_events(folder)
        events.emit(Name.LAUNCH_TRAINING)
        try:
            with self.interrupts.allowed():
                reserve(folder)
                failure = self._attempts(folder, events, begin_tracking)
        except TouchstoneError as error:
            failure = error
        except OSError as error:
            failure = storage_error(error, folder)
        except KeyboardInterrupt:
            failure = InterruptedRunError("Interrupted before the worker was started. Nothing was measured.")
        free_reserve(folder)
        _tell_end(events, failure)
        if task_of(self.case).on_device:
            _tell_finished(folder, build(folder, by_run=True))
        _save(folder)
        return failure

    def _attempts(
        self, folder: Path, events: EventWriter, begin_tracking: Callable[[], None]
    ) -> TouchstoneError | None:
        StepsFile.create(folder / "steps.csv")
        one_device.take_along(self.case, folder)
        run = self._attempt_on_nodes if self.gathering is not None else self._attempt_here
        for left in range(self.case.run.retries, -1, -1):
            failure = run(folder, events, self._follower(begin_tracking))
            if not (isinstance(failure, WorkerCrashedError) and left):
                return failure
            events.emit(Name.WARNING, {"message": f"The worker crashed and was started again: {failure}"})
            events.emit(Name.LAUNCH_END, {"exit_code": failure.exit_code, "class": "", "message": str(failure)})
            events.emit(Name.LAUNCH_TRAINING)
        raise AssertionError("unreachable")

    def _attempt_here(
        self, folder: Path, events: EventWriter, follow: Callable[[Event], None]
    ) -> TouchstoneError | None:
        """The ranks and the meters of this machine."""

        def warn(text: str) -> None:
            events.emit(Name.WARNING, {"message": text})

        environment = {PARENT_VARIABLE: str(os.getpid()), AUTOLOAD_VARIABLE: "0"}
        with ExitStack() as stack:
            if (sampler := start_meters(self.case, folder, warn)) is not None:
                stack.callback(end_sampler, sampler, warn, soon=lambda: self.interrupts.asked)
                environment |= sampler.environment
            return attempt(
                self.case,
                folder,
                environment,
                forked=self.forked,
                on_event=follow,
                on_tick=self.console.tick,
                guard=self.guard,
            )

    def _attempt_on_nodes(
        self, folder: Path, events: EventWriter, follow: Callable[[Event], None]
    ) -> TouchstoneError | None:
        """Every node's ranks and meters, by their agents; nodes that have come stay through repeats and retries."""
        assert self.gathering is not None, "the case is one of several machines"
        self.gathering.gather(self.console.tick)
        for message in self.gathering.warnings:
            events.emit(Name.WARNING, {"message": message})
        return run_on_nodes(
            self.gathering,
            self.case,
            folder,
            on_event=follow,
            on_tick=self.console.tick,
            interrupted=lambda: interrupted(folder),
        )

    def _follower(self, begin_tracking: Callable[[], None]) -> Callable[[Event], None]:
        # Importing MLflow takes seconds of a core, which a case on the host CPU would feel: it must fall neither into a
        # window, which may have further segments after its first, nor into the worker's own imports.
        begins = task_of(self.case).tracking_begins

        def follow(event: Event) -> None:
            if event.name == begins:
                begin_tracking()
            self.console.on_event(event)

        return follow

    def _parent_events(self, folder: Path) -> EventWriter:
        events = EventWriter(folder / "events" / PARENT_LOG, rank=-1)
        events.emit(Name.SUBMIT_INFO, {"identity": self.case.identity, "division": asdict(self.division)})
        return events


def _once(action: Callable[[], None] | None) -> Callable[[], None]:
    """`action` at the first call, nothing afterwards."""
    pending = [action] if action else []

    def call() -> None:
        if pending:
            pending.pop()()

    return call


def _save(folder: Path) -> Report:
    """Build the report of a folder and write it down."""
    report = build(folder, by_run=True)
    (folder / "environment.json").write_text(json.dumps(report.environment, indent=1) + "\n")
    report.save(folder / "report.json")
    return report


def _tell_end(events: EventWriter, failure: TouchstoneError | None) -> None:
    code = failure.exit_code if failure else 0
    told = {"exit_code": code, "class": type(failure).__name__ if failure else None, "message": str(failure or "")}
    events.emit(Name.LAUNCH_END, told)


def _tell_finished(folder: Path, report: Report) -> None:
    """FlagPerf's closing line, for people's log tools; the figures are the report's."""
    figures = {name: figure.value for name, figure in report.figures.items()}
    finals = {f"final_{name.removeprefix('quality/')}": value for name, value in figures.items() if is_quality(name)}
    told = {
        "e2e_time": figures.get("time/e2e_s"),
        "init_time": figures.get("time/init_s"),
        "train_time": figures.get("time/train_s"),
        "p_whole": figures.get("throughput/whole"),
        "p_train": figures.get("throughput/train"),
        "p_core": figures.get("throughput/core"),
        "unit": report.case["unit"],
        "converged": bool(figures.get("quality/reached")) if "quality/reached" in figures else None,
        **finals,
    }
    EventWriter(folder / "events" / "rank0.log", rank=0).emit(Name.FINISHED, told)

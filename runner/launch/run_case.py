"""One case from beginning to end: sampler, worker, report. What `python -m runner` does once it knows the case."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from hardware.sampling.client import SamplerProcess, start_sampler
from runner.config.division import Division
from runner.config.schema import Case
from runner.console.console import Console
from runner.core.errors import InterruptedRunError, TouchstoneError, WorkerCrashedError
from runner.core.events import Event, EventWriter, Name
from runner.core.interrupts import Interrupts
from runner.core.lock import let_go
from runner.core.storage import free_reserve, reserve, storage_error
from runner.launch.attempt import attempt
from runner.launch.folder import claim
from runner.measure.context import AUTOLOAD_VARIABLE, PARENT_VARIABLE
from runner.measure.step_records import StepsFile
from runner.record.names import is_quality
from runner.record.report import Report
from runner.record.run_record import PARENT_LOG
from runner.record.task import task_of
from runner.results.build import build
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
        if repeats == 1:
            self.part(self.folder, begin_tracking)
        else:
            self._repeat(repeats, begin_tracking)
        report = _save(self.folder)
        with suppress(OSError, ValueError):  # the result is written; pictures of it are not worth an error
            draw(self.folder, report)
            report.save(self.folder / "report.json")  # once more: its hash covers the plots too
        begin_tracking()
        warning = self._file(tracker, report) if tracker else None
        if warning:
            with suppress(OSError):
                # As an event, so that the report with it still follows from the folder.
                EventWriter(self.folder / "events" / PARENT_LOG, rank=-1).emit(Name.WARNING, {"message": warning})
                report = _save(self.folder)
        self.console.finish(report, self.folder, tracker.where() if tracker and not warning else ())
        return report.exit_code

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
        environment = {PARENT_VARIABLE: str(os.getpid()), AUTOLOAD_VARIABLE: "0"}
        with ExitStack() as stack:
            if task_of(self.case).on_device:
                sampler = self._start_sampler(folder, events)
                if sampler is not None:
                    stack.callback(self._end_sampler, sampler, events)
                    environment |= sampler.environment
            for left in range(self.case.run.retries, -1, -1):
                failure = attempt(
                    self.case,
                    folder,
                    environment,
                    forked=self.forked,
                    on_event=self._follower(begin_tracking),
                    on_tick=self.console.tick,
                    guard=self.guard,
                )
                if not (isinstance(failure, WorkerCrashedError) and left):
                    return failure
                events.emit(Name.WARNING, {"message": f"The worker crashed and was started again: {failure}"})
                events.emit(Name.LAUNCH_END, {"exit_code": failure.exit_code, "class": "", "message": str(failure)})
                events.emit(Name.LAUNCH_TRAINING)
        raise AssertionError("unreachable")

    def _start_sampler(self, folder: Path, events: EventWriter) -> SamplerProcess | None:
        """The process that reads the meters; a run without one has no energy, and says so."""
        try:
            return start_sampler(
                folder / "power.csv",
                self._meters(),
                period_s=self.case.measure.sampling_period_s,
                window_s=self.case.measure.window.min_s,
                prometheus=self._prometheus(),
            )
        except OSError as error:
            events.emit(Name.WARNING, {"message": f"No meter was read: the sampler could not be started: {error}."})
            return None

    def _end_sampler(self, sampler: SamplerProcess, events: EventWriter) -> None:
        """End it; what it did not read becomes a warning. Whoever asked the run to end will not wait long for it."""
        sampler.stop(SOON_S if self.interrupts.asked else SAMPLER_S)
        if sampler.problem is not None:
            events.emit(Name.WARNING, {"message": f"The meters were not read to the end: {sampler.problem}."})

    def _meters(self) -> tuple[str, ...]:
        """The vendor's meters, or the host's in its place, and what else was asked for."""
        own = HOST_METERS if self.case.emulate else self.case.vendor.meters
        return (*own, *self.case.meters.extra)

    def _prometheus(self) -> tuple[str, int] | None:
        """Where live readings shall be served."""
        port = self.case.meters.prometheus_port
        return None if port is None else (self.case.meters.prometheus_address, port)

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


SAMPLER_S, SOON_S = 5.0, 1.0
"""How long the sampler may take to finish its files; and when somebody has asked the run to end."""
HOST_METERS = ("rapl", "host")
"""What an emulated run may read: the host it really runs on."""


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

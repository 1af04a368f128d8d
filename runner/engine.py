"""One case from beginning to end: sampler, worker, report. What `python -m runner` does once it knows the case."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hardware.sampler_client import start_sampler
from runner.console import Console
from runner.context import AUTOLOAD_VARIABLE, PARENT_VARIABLE
from runner.errors import InterruptedRunError, TouchstoneError, WorkerCrashedError
from runner.events import Event, EventWriter, Name
from runner.folder import claim
from runner.launch import attempt
from runner.report.build import build
from runner.report.names import is_quality
from runner.report.plots import draw_plots
from runner.report.repeats import REPEATS
from runner.report.schema import Division, Report
from runner.report.story import PARENT_LOG
from runner.schema import Case
from runner.steps_file import StepsFile
from runner.tracking import Tracker


@dataclass(kw_only=True, slots=True)
class Engine:
    """Runs a case in its folder; every end, good or bad, becomes a report."""

    case: Case
    folder: Path
    division: Division
    console: Console
    forked: bool
    """Whether the worker comes from a sweep's server."""

    def run(self) -> int:
        """Run the case, file it, show it; returns the exit code."""
        tracker: Tracker | None = None
        if self.case.tracking.name == "mlflow":
            tracker = Tracker(self.folder, self.case.tracking)
        begin_tracking = _once(tracker.start if tracker else None)
        repeats = self.case.measure.repeats if self.case.task.name != "inspect" else 1
        if repeats == 1:
            self._part(self.folder, begin_tracking)
        else:
            self._repeat(repeats, begin_tracking)
        report = _save(self.folder)
        draw_plots(self.folder, report)
        begin_tracking()
        warning = tracker.finish(report) if tracker else None
        if warning:
            report = replace(report, warnings=[*report.warnings, warning])
            report.save(self.folder / "report.json")
        self.console.finish(report, self.folder)
        return report.exit_code

    def _repeat(self, repeats: int, begin_tracking: Callable[[], None]) -> None:
        """Run the case in fresh processes, one after the other; the first failure ends it."""
        events = self._parent_events(self.folder)
        events.emit(Name.LAUNCH_TRAINING, {"repeats": repeats})
        single = replace(self.case, measure=replace(self.case.measure, repeats=1))
        failure: TouchstoneError | None = None
        for number in range(1, repeats + 1):
            folder = claim(single, self.folder / REPEATS / str(number))
            failure = replace(self, case=single, folder=folder)._part(folder, begin_tracking)
            if failure is not None:
                break
        _tell_end(events, failure)

    def _part(self, folder: Path, begin_tracking: Callable[[], None]) -> TouchstoneError | None:
        """One worker's life, with further attempts after a crash where `run.retries` allows them."""
        events = self._parent_events(folder)
        events.emit(Name.LAUNCH_TRAINING)
        try:
            failure = self._attempts(folder, events, begin_tracking)
        except TouchstoneError as error:
            failure = error
        except KeyboardInterrupt:
            failure = InterruptedRunError("Interrupted before the worker was started.")
        _tell_end(events, failure)
        report = _save(folder)
        if self.case.task.name != "inspect":
            _tell_finished(folder, report)
        return failure

    def _attempts(
        self, folder: Path, events: EventWriter, begin_tracking: Callable[[], None]
    ) -> TouchstoneError | None:
        StepsFile.create(folder / "steps.csv")
        environment = {PARENT_VARIABLE: str(os.getpid()), AUTOLOAD_VARIABLE: "0"}
        with ExitStack() as stack:
            if self.case.task.name != "inspect":
                sampler = start_sampler(
                    folder / "power.csv",
                    self._meters(),
                    period_s=self.case.measure.sampling_period_s,
                    prometheus=self._prometheus(),
                )
                stack.callback(sampler.stop)
                environment |= sampler.environment
            for left in range(self.case.run.retries, -1, -1):
                failure = attempt(
                    self.case,
                    folder,
                    environment,
                    forked=self.forked,
                    on_event=self._follower(begin_tracking),
                    on_tick=self.console.tick,
                )
                if not (isinstance(failure, WorkerCrashedError) and left):
                    return failure
                events.emit(Name.WARNING, {"message": f"The worker crashed and was started again: {failure}"})
                events.emit(Name.LAUNCH_END, {"exit_code": failure.exit_code, "class": "", "message": str(failure)})
                events.emit(Name.LAUNCH_TRAINING)
        raise AssertionError("unreachable")

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
        begins = Name.TRAIN_END if self.case.task.name == "train" else Name.INIT_END

        def follow(event: Event) -> None:
            if event.name == begins:
                begin_tracking()
            self.console.on_event(event)

        return follow

    def _parent_events(self, folder: Path) -> EventWriter:
        events = EventWriter(folder / "events" / PARENT_LOG, rank=-1)
        events.emit(Name.SUBMIT_INFO, {"identity": self.case.identity, "division": asdict(self.division)})
        return events


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
    report = build(folder)
    report.save(folder / "report.json")
    (folder / "environment.json").write_text(json.dumps(report.environment, indent=1) + "\n")
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

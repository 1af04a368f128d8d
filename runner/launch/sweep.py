"""A sweep (`-m`): cases that were all checked before the first starts, one after another, and one closing table.

Where Hydra's launchers start them instead, `runner.sweeping` runs them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from runner.config.plan import Planned, without_twins
from runner.config.schema import Case
from runner.console.sweep_progress import SweepProgress
from runner.core.errors import InterruptedRunError, TouchstoneError
from runner.core.interrupts import Interrupts
from runner.core.lasting_output import standard_output
from runner.launch.folder import claim_sweep
from runner.launch.refused import record, record_invalid, say
from runner.launch.submit import refusal, run_case
from runner.suites.sweep_record import earlier_seconds, place_of, planned
from runner.views.page import screen

SHOWN = ("suite=", "task=", "model=", "vendor=", "precision=", "topology=", "compiler=", "scale=")
"""Choices that the name of a sweep's MLflow run tells."""


class Distributing(Protocol):
    """How the cases of a sweep are run elsewhere than in this process."""

    def refusal(self, one: Planned) -> TouchstoneError | None:
        """Why a case cannot be run; None when nothing is known against it."""

    def run(
        self, sweep: SweepFolder, runnable: Sequence[tuple[int, Case]], interrupts: Interrupts
    ) -> list[tuple[Path, Case]]:
        """Run the cases and account for each; returns those that were lost, whose results are not filed."""


def run_sweep(
    plans: Sequence[Planned],
    *,
    vendor_detected: bool,
    typed: Sequence[str] = (),
    elsewhere: Distributing | None = None,
) -> int:
    """Record the cases that cannot be run, run the others; returns the worst exit code.

    Args:
        plans: all cases.
        vendor_detected: whether the vendor was found on this machine, not named.
        typed: the command line's overrides, which name the sweep.
        elsewhere: runs the cases, where they do not run here one after another.
    """
    with Interrupts() as interrupts:
        return _run_sweep(plans, interrupts, vendor_detected=vendor_detected, typed=typed, elsewhere=elsewhere)


def _run_sweep(
    plans: Sequence[Planned],
    interrupts: Interrupts,
    *,
    vendor_detected: bool,
    typed: Sequence[str],
    elsewhere: Distributing | None,
) -> int:
    """A signal between two cases ends the sweep before the next one, with its table and its status."""
    plans, twins = without_twins(plans)
    refused_because = elsewhere.refusal if elsewhere is not None else _known_refusal
    for sentence in twins:
        say(sentence)
    sweep = SweepFolder(plans, claim_sweep(plans[0].sweep_folder()))
    _declare(sweep.folder, typed, [one.case for one in plans if one.case is not None])
    refused: list[tuple[Path, Case]] = []  # what nobody has filed
    runnable: list[tuple[int, Case]] = []
    for number, one in enumerate(plans):
        error = one.error if one.case is None else refused_because(one)
        if error is None:
            assert one.case is not None
            runnable.append((number, one.case))
            continue
        wanted = sweep.wanted(number)
        if one.case is None:
            folder = record_invalid(one.values, wanted, error)
        else:
            folder = record(one.case, wanted, one.division, error, in_sweep=True)
            refused.append((folder, one.case))
        sweep.placed(number, folder)
        sweep.ended(number, error.exit_code)
    if elsewhere is not None:
        refused += elsewhere.run(sweep, runnable, interrupts)
    else:
        _start_server([case for _, case in runnable])
        sweep.run(runnable, interrupts, vendor_detected=vendor_detected)
    if InterruptedRunError.exit_code not in sweep.codes and runnable:
        try:
            with interrupts.allowed():
                _file(refused)
        except KeyboardInterrupt:
            sweep.codes.append(InterruptedRunError.exit_code)
    _close(sweep, uri=next((one.case.tracking.uri for one in plans if one.case is not None), None))
    return max(sweep.codes)


class SweepFolder:
    """A sweep's folder, with the record of its cases that is kept there."""

    def __init__(self, plans: Sequence[Planned], folder: Path) -> None:
        self.plans, self.folder = plans, folder
        self.codes: list[int] = []
        self.record = planned(plans)
        self.record.save(folder)

    def wanted(self, number: int) -> Path:
        """Where a case shall go."""
        return self.folder / self.plans[number].name_in_sweep(number)

    def placed(self, number: int, folder: Path, done: bool = False) -> None:
        """Write down where a case went."""
        case = self.record.cases[number]
        case.folder, case.done_already = place_of(folder, self.folder), done
        self.record.save(self.folder)

    def ended(self, number: int, code: int, took_s: float | None = None) -> None:
        """Write down how a case ended, and how long it took where it ran."""
        case = self.record.cases[number]
        case.exit_code, case.seconds = code, None if case.done_already else took_s
        self.codes.append(code)
        self.record.save(self.folder)

    def run(self, runnable: Sequence[tuple[int, Case]], interrupts: Interrupts, *, vendor_detected: bool) -> None:
        """Run the cases one after another until somebody asks for the end."""
        known = earlier_seconds(Path(runnable[0][1].run.root)) if runnable else {}
        expected = {place: known[case.identity] for place, (_, case) in enumerate(runnable) if case.identity in known}
        names = [case.name for _, case in runnable]
        progress = SweepProgress(names=names, expected_s=expected, clock=time.monotonic)
        for place, (number, case) in enumerate(runnable):
            if interrupts.asked:
                self.codes.append(InterruptedRunError.exit_code)
                return
            if len(runnable) > 1:
                screen(standard_output()).print(progress.begin(place), style="bold", soft_wrap=True)
            code = run_case(
                case,
                self.wanted(number),
                self.plans[number].division,
                forked=True,
                vendor_detected=vendor_detected,
                tuning=self.plans[number].tuning,
                placed=partial(self.placed, number),
            )
            self.ended(number, code, progress.end(ran=not self.record.cases[number].done_already))
            if code == InterruptedRunError.exit_code:
                return


def _known_refusal(one: Planned) -> TouchstoneError | None:
    """Why a case cannot be run; a case to resume may be done already, and is asked in its turn."""
    assert one.case is not None
    return None if one.case.resume else refusal(one.case, one.division)


def _declare(folder: Path, typed: Sequence[str], cases: Sequence[Case]) -> None:
    from runner.tracking import declare_sweep

    varied = [override.partition("=")[2] for override in typed if override.startswith(SHOWN)]
    declare_sweep(folder, " ".join([*varied, folder.name]), cases)


def _start_server(cases: Sequence[Case]) -> None:
    """Have the workers' server import everything, while the parent goes on; where none is forked there is none."""
    from runner.launch.processes import can_fork, start_server

    if any(map(can_fork, cases)):
        start_server()


def _file(refused: Sequence[tuple[Path, Case]]) -> None:
    """File the refused cases beside the others; this late it holds up no measurement."""
    from runner.record.report import load_report
    from runner.tracking import Tracker

    for folder, case in refused:
        if case.tracking.name == "none":
            continue
        tracker = Tracker(folder, case.tracking)
        tracker.start()
        if warning := tracker.finish(load_report(folder / "report.json")):
            say(f"Warning: {warning}")


def _close(sweep: SweepFolder, *, uri: str | None) -> None:
    """Show what the sweep has, and file its status."""
    from runner.console.sweep_table import show_sweep
    from runner.record.reading import UnreadableFolderError, reading
    from runner.record.report import load_report
    from runner.tracking import close_sweep

    folder, cases = sweep.folder, sweep.record.cases
    places = {folder / case.folder: case for case in cases if case.folder is not None}
    reports, problems = {}, []
    for path in places:
        try:
            with reading(path):
                reports[path] = load_report(path / "report.json")
        except (UnreadableFolderError, OSError) as error:
            problems.append(str(error))
    warning = close_sweep(folder, uri=uri)
    seconds = {path: case.seconds for path, case in places.items() if case.seconds is not None}
    show_sweep(folder, reports, seconds=seconds, not_run=sum(case.folder is None for case in cases))
    for problem in [*problems, *([warning] if warning else [])]:
        sys.stderr.write(f"Warning: {problem}\n")

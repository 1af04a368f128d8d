"""A sweep (`-m`): cases that were all checked before the first starts, one after another, and one closing table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from runner.config.plan import Planned, without_twins
from runner.config.schema import Case
from runner.core.errors import InterruptedRunError, TouchstoneError
from runner.core.interrupts import Interrupts
from runner.launch.folder import claim_sweep
from runner.launch.refused import record, record_invalid, say
from runner.launch.submit import refusal, run_case

SHOWN = ("suite=", "task=", "model=", "vendor=", "precision=", "topology=", "compiler=", "scale=")
"""Choices that the name of a sweep's MLflow run tells."""


def run_sweep(plans: Sequence[Planned], *, vendor_detected: bool, typed: Sequence[str] = ()) -> int:
    """Record the cases that cannot be run, run the others; returns the worst exit code.

    Args:
        plans: all cases.
        vendor_detected: whether the vendor was found on this machine, not named.
        typed: the command line's overrides, which name the sweep.
    """
    with Interrupts() as interrupts:
        return _run_sweep(plans, interrupts, vendor_detected=vendor_detected, typed=typed)


def _run_sweep(plans: Sequence[Planned], interrupts: Interrupts, *, vendor_detected: bool, typed: Sequence[str]) -> int:
    """A signal between two cases ends the sweep before the next one, with its table and its status."""
    plans, twins = without_twins(plans)
    for sentence in twins:
        say(sentence)
    folder = claim_sweep(plans[0].sweep_folder())
    _declare(folder, typed)
    codes: list[int] = []
    runnable: list[tuple[Case, Path, Planned]] = []
    refused: list[tuple[Path, Case]] = []
    for number, one in enumerate(plans):
        wanted = folder / one.name_in_sweep(number)
        error = one.error if one.case is None else _known_refusal(one)
        if error is None:
            assert one.case is not None
            runnable.append((one.case, wanted, one))
            continue
        codes.append(error.exit_code)
        if one.case is None:
            record_invalid(one.values, wanted, error)
        else:
            refused.append((record(one.case, wanted, one.division, error, in_sweep=True), one.case))
    if runnable:
        _start_server()
    for case, wanted, one in runnable:
        if interrupts.asked:
            codes.append(InterruptedRunError.exit_code)
            break
        codes.append(
            run_case(case, wanted, one.division, forked=True, vendor_detected=vendor_detected, tuning=one.tuning)
        )
        if codes[-1] == InterruptedRunError.exit_code:
            break
    if InterruptedRunError.exit_code not in codes and runnable:
        try:
            with interrupts.allowed():
                _file(refused)
        except KeyboardInterrupt:
            codes.append(InterruptedRunError.exit_code)
    _close(folder, uri=next((one.case.tracking.uri for one in plans if one.case is not None), None))
    return max(codes)


def _known_refusal(one: Planned) -> TouchstoneError | None:
    """Why a case cannot be run; a case to resume may be done already, and is asked in its turn."""
    assert one.case is not None
    return None if one.case.resume else refusal(one.case, one.division)


def _declare(folder: Path, typed: Sequence[str]) -> None:
    from runner.tracking import declare_sweep

    varied = [override.partition("=")[2] for override in typed if override.startswith(SHOWN)]
    declare_sweep(folder, " ".join([folder.name, *varied]))


def _start_server() -> None:
    """Have the workers' server import everything, while the parent goes on."""
    from runner.launch.processes import start_server

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


def _close(folder: Path, *, uri: str | None) -> None:
    """Show what the sweep has, and file its status."""
    from runner.console.console import show_sweep
    from runner.record.reading import UnreadableFolderError, reading
    from runner.record.report import load_report
    from runner.tracking import close_sweep

    reports, problems = {}, []
    for path in sorted(folder.glob("*/report.json")):
        try:
            with reading(path.parent):
                reports[path.parent] = load_report(path)
        except UnreadableFolderError as error:
            problems.append(str(error))
    warning = close_sweep(folder, uri=uri)
    show_sweep(folder, reports)
    for problem in [*problems, *([warning] if warning else [])]:
        sys.stderr.write(f"Warning: {problem}\n")

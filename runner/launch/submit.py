"""From a checked case to its folder and its run, or to a recorded refusal."""

from __future__ import annotations

from pathlib import Path

from runner.config.checks import check
from runner.config.division import Division
from runner.config.fairness import require
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, InterruptedRunError, TouchstoneError
from runner.core.interrupts import Interrupts
from runner.core.lock import OwnedError, let_go
from runner.core.owner import write_parent
from runner.launch.folder import claim, find_earlier, is_done
from runner.launch.refused import record


def refusal(case: Case, changes: Division) -> TouchstoneError | None:
    """Why a case cannot be run here, as far as that is known without starting anything; None when nothing is."""
    try:
        require(case, changes)
        check(case, changes)
    except TouchstoneError as error:
        return error
    return None


def run_case(
    case: Case, wanted: Path, changes: Division, *, forked: bool, vendor_detected: bool, tuning: str | None = None
) -> int:
    """Run a case in a folder of its own, or in the earlier one that `resume=true` asks for.

    Args:
        case: what runs.
        wanted: the folder; a taken name gets a number.
        changes: against the reference composition.
        forked: whether the worker comes from a sweep's server.
        vendor_detected: whether the vendor was found on this machine, not named.
        tuning: the tuning file that the case took values from.

    Returns:
        The exit code; that of an interrupted run where somebody asked the sweep around it to end.
    """
    from runner.console.console import Console

    console = Console(case)
    folder = find_earlier(case, Path(case.run.root), console.warn) if case.resume else None
    if folder is not None and is_done(folder):
        console.skip(folder)
        return 0
    if (error := refusal(case, changes)) is not None:
        record(case, wanted, changes, error)
        return error.exit_code
    from runner.launch.run_case import CaseRunner

    if folder is None:
        folder = claim(case, wanted)
    else:
        _continue(folder)
    try:
        console.start(folder, vendor_detected=vendor_detected, tuning=tuning)
        with Interrupts() as interrupts:
            engine = CaseRunner(
                case=case, folder=folder, division=changes, console=console, forked=forked, interrupts=interrupts
            )
            code = engine.run()
        # Asked for while the result was filed: the run is done, the sweep goes no further.
        return InterruptedRunError.exit_code if forked and interrupts.asked else code
    finally:
        let_go(folder)


def _continue(folder: Path) -> None:
    """Own the folder of an earlier run that is gone on with.

    Raises:
        ConfigurationError: it cannot be owned.
    """
    try:
        write_parent(folder)
    except OwnedError as error:
        raise ConfigurationError(
            f"The run in {folder} was just taken up by another process. Wait for its end, or leave resume=true out."
        ) from error
    except OSError as error:
        let_go(folder)
        raise ConfigurationError(
            f"The run in {folder} cannot be continued: {error.strerror}. Leave resume=true out, or mend that."
        ) from error

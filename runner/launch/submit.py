"""From a checked case to its folder and its run, or to a recorded refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runner.config.checks import check
from runner.config.division import Division
from runner.config.fairness import require
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, InterruptedRunError, TouchstoneError
from runner.core.interrupts import Interrupts
from runner.core.lock import OwnedError, let_go
from runner.core.owner import write_parent
from runner.launch.auto_batch import FILE as FOUND
from runner.launch.auto_batch import check_auto_batch, found_earlier, search_in
from runner.launch.batch_attempt import memory_guard
from runner.launch.batch_case import with_change
from runner.launch.folder import claim, find_earlier, is_done
from runner.launch.refused import record, record_in

if TYPE_CHECKING:
    from runner.console.console import Console


def refusal(case: Case, changes: Division) -> TouchstoneError | None:
    """Why a case cannot be run here, as far as that is known without starting anything; None when nothing is."""
    try:
        require(case, changes)
        check(case, changes)
        if case.tuning.auto_batch:
            check_auto_batch(case)
    except TouchstoneError as error:
        return error
    return None


def run_case(
    case: Case,
    wanted: Path,
    changes: Division,
    *,
    forked: bool,
    vendor_detected: bool,
    tuning: str | None = None,
    placed: Callable[[Path, bool], None] = lambda folder, done: None,
) -> int:
    """Run a case in a folder of its own, or in the earlier one that `resume=true` asks for.

    Args:
        case: what runs.
        wanted: the folder; a taken name gets a number.
        changes: against the reference composition.
        forked: whether the worker comes from a sweep's server.
        vendor_detected: whether the vendor was found on this machine, not named.
        tuning: the tuning file that the case took values from.
        placed: is told of its folder, and whether it was done there already.

    Returns:
        The exit code; that of an interrupted run where somebody asked the sweep around it to end.
    """
    from runner.console.console import Console

    say = Console(case)
    folder, found = _earlier(case, say.warn) if case.resume else (None, case)
    if folder is not None and is_done(folder):
        placed(folder, True)
        say.skip(folder)
        return 0
    if (error := refusal(case, changes)) is not None:
        placed(record(case, wanted, changes, error), False)
        return error.exit_code
    if folder is None:
        folder = claim(case, wanted)
    else:
        changes, case = with_change(changes, case, found) if case.tuning.auto_batch else changes, found
        _continue(folder)
    placed(folder, False)
    try:
        with Interrupts() as interrupts:
            if case.tuning.auto_batch and not (folder / FOUND).exists():
                try:
                    case, changes = search_in(folder, case, changes, forked=forked, interrupts=interrupts, say=say.say)
                except TouchstoneError as failure:
                    return _end(folder, changes, failure, say)
            console = Console(case)
            console.start(folder, vendor_detected=vendor_detected, tuning=tuning)
            code = _run(case, folder, changes, console, interrupts, forked=forked)
        # Asked for while the result was filed: the run is done, the sweep goes no further.
        return InterruptedRunError.exit_code if forked and interrupts.asked else code
    finally:
        let_go(folder)


def _run(case: Case, folder: Path, changes: Division, console: Console, interrupts: Interrupts, *, forked: bool) -> int:
    from runner.launch.run_case import CaseRunner

    engine = CaseRunner(
        case=case, folder=folder, division=changes, console=console, forked=forked, interrupts=interrupts
    )
    # A batch size that was searched for fits: a little more in a longer run is not worth its result.
    engine.guard = None if case.tuning.auto_batch else memory_guard(case)
    return engine.run()


def _earlier(case: Case, say: Callable[[str], None]) -> tuple[Path | None, Case]:
    """The folder that `resume=true` can use, and its case: with the batch size that was found there."""
    root = Path(case.run.root)
    wanted = found_earlier(case, root) if case.tuning.auto_batch else case
    return (find_earlier(wanted, root, say), wanted) if wanted is not None else (None, case)


def _end(folder: Path, changes: Division, error: TouchstoneError, console: Console) -> int:
    """Record and show a run that ended before it began: no batch size was found for it."""
    console.finish(record_in(folder, changes, error), folder)
    return error.exit_code


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

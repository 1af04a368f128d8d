"""A case whose job left no result: it gets one, which says so."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from runner.config.division import Division
from runner.config.schema import Case, load_case
from runner.core.errors import TouchstoneError, WorkerCrashedError
from runner.core.events import EventWriter, Name
from runner.launch.refused import record, say
from runner.record.run_record import PARENT_LOG
from runner.results.build import build
from runner.sweeping.follow import Followed

TAIL = 20
"""Lines of a log that are looked through for what went wrong."""


def end_of(one: Followed, cause: TouchstoneError) -> TouchstoneError:
    """Why a case has no result: what its command ended with, where it ended at all, else why its job is gone."""
    ended = one.files.ended
    if ended is None:
        return cause
    code = int(ended["exit_code"])
    kinds = {kind.exit_code: kind for kind in reversed(TouchstoneError.__subclasses__())}
    kind = kinds.get(code, WorkerCrashedError)
    return kind(
        f"The command of the case ended with status {code} and left no result: {last_words(one.files.log)} "
        f"All of it: {one.files.log}."
    )


def last_words(log: Path) -> str:
    """The error at the end of what a command said."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()][-TAIL:]
    except OSError:
        lines = []
    told = [line for line in lines if line.startswith("Error: ")] or lines
    return told[-1][:500].removeprefix("Error: ") if told else "it said nothing."


def record_lost(case: Case, folder: Path, division: Division, error: TouchstoneError) -> Path:
    """Write down in a case's folder, made where there is none, why it has no result of its own.

    What its run had measured until then stays in the report.

    Returns:
        The run's folder.
    """
    if not (folder / "run.yaml").exists():
        return record(case, folder, division, error, in_sweep=True)
    events = EventWriter(folder / "events" / PARENT_LOG, rank=-1)
    if not (folder / "events" / PARENT_LOG).stat().st_size:
        events.emit(Name.SUBMIT_INFO, {"identity": load_case(folder).identity, "division": asdict(division)})
    told = {"exit_code": error.exit_code, "class": type(error).__name__, "message": str(error)}
    events.emit(Name.LAUNCH_END, told)
    build(folder, by_run=True).save(folder / "report.json")
    say(f"Error: {error}\nRecorded as a result in {folder}.")
    return folder

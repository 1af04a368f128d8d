"""Finds results: run folders under a path, and the report of each."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path

from runner.core.errors import ConfigurationError, TouchstoneError
from runner.core.owner import parent_state
from runner.core.storage import check_working_directory
from runner.record.reading import reading
from runner.record.report import CHANGED, Parsed, Report, parse_report

REPORT = "report.json"
LEFT_OUT = "Left out: "
"""Before the sentence on a folder that could not be read, among others that could."""
_NOT_RUNS = frozenset({"mlruns", "mlartifacts", "artifacts", "burn_in"})
"""MLflow keeps copies of reports here; an acceptance the rounds of its burn-in, which are no results."""


def is_run(folder: Path) -> bool:
    """Whether a folder is one run's: it has a result, or a case and the events of one that was killed."""
    try:
        return (folder / REPORT).is_file() or ((folder / "run.yaml").is_file() and (folder / "events").is_dir())
    except OSError:  # a folder that may not be looked into: whoever reads it says so
        return True


def find_runs(path: Path) -> list[Path]:
    """The run folders at or below a path, in the order of their names.

    Args:
        path: a run folder, its `report.json`, a sweep folder or a whole outputs root.

    Raises:
        ConfigurationError: no such path, or no run in it; suggests the nearest one. The working directory was deleted.
    """
    check_working_directory()
    folder = path.parent if path.name == REPORT and path.is_file() else path
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder {path}.{_suggestion(path)}")
    found = list(walk_runs(folder))
    if not found:
        raise ConfigurationError(
            f"No result lies in {folder} or below: a run folder holds {REPORT}, or run.yaml and events/."
        )
    return found


def load(folder: Path) -> Report:
    """The report of a run folder; one whose parent process was killed is built from its events, and kept.

    Raises:
        ConfigurationError: the run is still going on, or what it left cannot be read.
    """
    return load_with_hash(folder).report


def load_with_hash(folder: Path) -> Parsed:
    """As `load`, with whether the report still has the hash that it states.

    Raises:
        ConfigurationError: the run is still going on, or what it left cannot be read.
    """
    with reading(folder):
        os.scandir(folder).close()  # where that is not allowed, this is what is wrong
        if (folder / REPORT).is_file():
            return parse_report(folder / REPORT)
        state = parent_state(folder)
        if state == "alive":
            raise ConfigurationError(f"The run in {folder} is still going on. Its report comes when it ends.")
        if state == "elsewhere":
            raise ConfigurationError(
                f"The run in {folder} has no report and belongs to another machine, where it may still be going on. "
                "Ask for its report there."
            )
        from runner.results.build import build

        report = build(folder)
        report.save(folder / REPORT)
        return Parsed(report, report.to_dict()["hash"], True)


def load_all(folders: list[Path]) -> tuple[list[tuple[Path, Report]], list[str]]:
    """All reports that can be read, each only once, and a sentence for every other one.

    A report that was changed after it was written is among both.
    """
    reports: dict[str, tuple[Path, Report]] = {}
    problems: list[str] = []
    for folder in folders:
        try:
            report, digest, intact = load_with_hash(folder)
        except TouchstoneError as error:
            problems.append(f"{LEFT_OUT}{error}")
            continue
        if not intact:
            problems.append(f"{folder}: {CHANGED}. Its figures are not to be trusted; see python -m runner.verify.")
        reports.setdefault(digest, (folder, report))
    return list(reports.values()), problems


def walk_runs(folder: Path) -> Iterator[Path]:
    """Run folders at or below a folder, in the order of their names; what lies inside a run folder is its own.

    Links to folders are not followed. A folder that may not be looked into is given like a run: whoever reads it says
    so.
    """
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        below = None if is_run(current) else _folders_in(current)
        if below is None:
            yield current
        else:
            waiting += [current / name for name in sorted(below, reverse=True)]


def _folders_in(folder: Path) -> list[str] | None:
    """Names of the folders in which runs may lie; None where it may not be looked into."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except PermissionError:
        return None
    except OSError:  # no folder, or gone meanwhile
        return []
    return [name for name in names if name not in _NOT_RUNS and not name.startswith(".")]


def _suggestion(path: Path) -> str:
    """The nearest path that exists: a sibling with a similar name, else the last folder of the path that is there."""
    parts = path.parts
    there = Path(parts[0]) if path.is_absolute() else Path()
    for part in parts[1:] if path.is_absolute() else parts:
        if (there / part).is_dir():
            there /= part
            continue
        names = [entry.name for entry in there.iterdir() if entry.is_dir()] if os.access(there, os.R_OK) else []
        near = difflib.get_close_matches(part, names, n=1, cutoff=0.5)
        if near:
            return f" Did you mean {there / near[0]}?"
        break
    named = there if there.name not in ("", "..") else there.resolve()
    return f" The nearest folder there is: {named}."

"""Runs of a store that fit a filter, with their reports: `model=bert and throughput/steady > 100`."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from runner.core.errors import ConfigurationError, TouchstoneError
from runner.record.report import CHANGED, Report, parse_report
from runner.results.find import load_with_hash, walk_runs
from runner.tracking import local, store
from runner.tracking.cursor import load_cursor
from runner.tracking.found.local_store import find_local
from runner.tracking.found.parse import parse
from runner.tracking.found.remote_store import find_remote
from runner.tracking.found.stored_run import StoredRun

LIMITS = store.http_limits(timeout_s=15, retries=1)


def search(
    text: str,
    *,
    uri: str | None,
    root: Path = Path("outputs"),
    limit: int = 1000,
    problems: list[str] | None = None,
) -> list[tuple[Path, Report]]:
    """The runs that fit, newest first, each with its report: from its folder where that is here, else as it was filed.

    Args:
        text: conditions joined by `and`, see `runner.tracking.found.parse`; empty: every run.
        uri: the store's address; None: the local database below `root`.
        root: `run.root`, where the folders of the runs are looked for.
        limit: at most so many runs.
        problems: gets a sentence for every run that fits and whose report cannot be read or was changed.

    Returns:
        Each run's folder and report. The folder of a run that is not here is a temporary one, with the report alone.

    Raises:
        ConfigurationError: the filter cannot be read (names the nearest key), the store does not answer, or no report
            of the runs that fit can be read.
    """
    conditions = parse(text)
    path = root / "mlflow.db" if uri is None else _path_of(uri)
    with store.environment(LIMITS):
        runs = (
            find_local(path, conditions, limit=limit)
            if path is not None
            else find_remote(str(uri), conditions, limit=limit)
        )
        return _with_reports(runs, root, [] if problems is None else problems)


def _path_of(uri: str) -> Path | None:
    """The file of a local store; None for a server.

    Raises:
        ConfigurationError: the address names no file.
    """
    try:
        return local.path_of(uri)
    except local.StoreUnusableError as error:
        raise ConfigurationError(str(error)) from error


def _with_reports(runs: list[StoredRun], root: Path, problems: list[str]) -> list[tuple[Path, Report]]:
    folders = _Folders(root)
    found: list[tuple[Path, Report]] = []
    unread: list[str] = []
    for run in runs:
        try:
            folder = folders.of(run)
            found.append(_here(folder, problems) if folder is not None else _filed(run, problems))
        except (TouchstoneError, OSError, ValueError) as error:
            unread.append(f"{run.name} ({run.folder or run.run_id}): {error}")
    problems += unread
    if unread and not found:
        raise ConfigurationError(f"No report of the runs that fit can be read. {unread[0]}")
    return found


def _here(folder: Path, problems: list[str]) -> tuple[Path, Report]:
    report, _, intact = load_with_hash(folder)
    if not intact:
        problems.append(f"{folder}: {CHANGED}. Its figures are not to be trusted; see python -m runner.verify.")
    return folder, report


def _filed(run: StoredRun, problems: list[str]) -> tuple[Path, Report]:
    """The report as it was filed, in a folder that is called like the run's own."""
    folder = _temporary() / run.run_id / (Path(run.folder).name or run.run_id)
    report, _, intact = parse_report(run.fetch(folder))
    if not intact:
        problems.append(f"{run.name}, as filed: {CHANGED}. Its figures are not to be trusted.")
    return folder, report


@cache
def _temporary() -> Path:
    """A folder that lasts as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="touchstone-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class _Folders:
    """Run folders below a root, found by what a store says of a run."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_name: dict[str, list[Path]] | None = None

    def of(self, run: StoredRun) -> Path | None:
        """The folder of a run; None where it is not here: a folder of the same name may be another run's."""
        if run.place is not None:
            return self._root / run.place if self._is_its(self._root / run.place, run) else None
        return next((folder for folder in self._named(run.folder) if self._is_its(folder, run)), None)

    def _is_its(self, folder: Path, run: StoredRun) -> bool:
        try:
            cursor = load_cursor(folder) if folder.resolve().is_relative_to(self._root.resolve()) else None
        except (OSError, ValueError):
            return False
        return cursor is not None and cursor.run_uid == run.uid

    def _named(self, name: str) -> list[Path]:
        """Run folders of a name; the tree is walked once, and only for runs that say no more than a name."""
        if self._by_name is None:
            self._by_name = {}
            for folder in walk_runs(self._root) if self._root.is_dir() else ():
                self._by_name.setdefault(folder.name, []).append(folder)
        return self._by_name.get(name, [])

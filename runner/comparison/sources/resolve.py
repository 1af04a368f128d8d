"""What `runner.compare` is given: folders, runs by their ids, filters of the store, published figures, baselines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from runner.comparison.gate.baseline import BASELINE, load_baseline
from runner.comparison.published import PREFIX, find_published
from runner.comparison.result import RunResult
from runner.comparison.sources.find_one import find_run
from runner.core.errors import ConfigurationError
from runner.record.report import CHANGED
from runner.results.find import LEFT_OUT, REPORT, find_runs, is_run, load_all, load_with_hash

BY = "by="
_MOST = 10_000
"""Runs that a filter may find."""
_CONDITION = re.compile(r"^\s*[\w./-]+\s*(?:!=|>=|<=|=|>|<|~|\bin\b|\blike\b)", re.IGNORECASE)


@dataclass(kw_only=True, slots=True)
class Places:
    """Where things are looked for."""

    root: Path = Path("outputs")
    """`run.root`: run folders, and the local store."""
    uri: str | None = None
    """The store's address; None: the local one below `root`."""
    baselines: Path = Path("baselines")


@dataclass(kw_only=True, slots=True)
class RunSource:
    """What one argument stands for."""

    text: str
    runs: list[RunResult]
    named: bool = True
    """Whether it names its runs one by one: they are then compared or refused, never sorted into groups."""
    problems: list[str] = field(default_factory=list)
    """A sentence for each folder that could not be read, or whose report was changed."""


def resolve(text: str, places: Places) -> RunSource:
    """The results that an argument stands for.

    Raises:
        ConfigurationError: there are none, it stands for several where it should name one, or they cannot be read.
    """
    path = Path(text)
    if text.startswith(PREFIX):
        return RunSource(text=text, runs=[find_published(text)])
    if text.startswith(BASELINE):
        baseline = load_baseline(text.removeprefix(BASELINE), places.baselines)
        return RunSource(text=text, runs=baseline.runs, named=len(baseline.runs) == 1)
    if path.exists() or "/" in text or text in (".", ".."):
        return _in_folder(text, path)
    if _CONDITION.match(text):
        return _searched(text, places)
    folder = find_run(text, places.root)
    return _in_folder(text, folder)


def _in_folder(text: str, path: Path) -> RunSource:
    if path.is_file() and path.name != REPORT:
        return _file(text, path)
    folders = find_runs(path)
    base = path.parent if path.is_file() else path
    if is_run(base):
        parsed = load_with_hash(base)
        problems = [] if parsed.intact else [f"{base}: {CHANGED}. Its figures are not to be trusted."]
        return RunSource(text=text, runs=[RunResult(report=parsed.report, folder=base)], problems=problems)
    found, problems = load_all(folders)
    if not found:
        raise ConfigurationError(" ".join(problem.removeprefix(LEFT_OUT) for problem in problems))
    runs = [RunResult(report=report, folder=folder) for folder, report in found]
    return RunSource(text=text, runs=runs, named=False, problems=problems)


def _file(text: str, path: Path) -> RunSource:
    """A report that lies alone, or a baseline."""
    from runner.comparison.gate.baseline import is_baseline
    from runner.record.report import parse_report

    if is_baseline(path):
        runs = load_baseline(str(path), path.parent).runs
        return RunSource(text=text, runs=runs, named=len(runs) == 1)
    try:
        parsed = parse_report(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} is neither a run's report.json nor a baseline: {error}. A result of another tool is read by "
            "python -m runner.import."
        ) from error
    problems = [] if parsed.intact else [f"{path}: {CHANGED}. Its figures are not to be trusted."]
    return RunSource(text=text, runs=[RunResult(report=parsed.report, folder=path)], problems=problems)


def _searched(text: str, places: Places) -> RunSource:
    from runner.tracking.search import search

    problems: list[str] = []
    found = search(text, uri=places.uri, root=places.root, limit=_MOST, problems=problems)
    if not found:
        told = "".join(f" {problem}" for problem in problems)
        raise ConfigurationError(f"No run of the store fits '{text}'. See what is filed: python -m runner.ui{told}")
    runs = [RunResult(report=report, folder=folder) for folder, report in found]
    return RunSource(text=text, runs=runs, named=False, problems=problems)

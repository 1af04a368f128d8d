"""Baselines: results that later ones are held to, kept whole in one file, with the noise of the machine beside them."""

from __future__ import annotations

import difflib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.comparison.gate.kinds import kind_of
from runner.comparison.gate.measured import MeasuredRun, from_plain, history, measured, to_plain
from runner.comparison.result import RunResult, emulated, is_published
from runner.core.errors import ConfigurationError
from runner.record.report import content_hash, parse_text

BASELINE = "baseline:"
FORMAT = "touchstone baseline"
VERSION = 1
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


@dataclass(kw_only=True, slots=True)
class Baseline:
    """What is held to."""

    name: str
    made: str
    """When it was saved, UTC; empty of one that was not."""
    runs: list[RunResult]
    measured: list[MeasuredRun]
    """Of its runs, in their order."""
    past: list[MeasuredRun]
    """Earlier runs of the same kinds, which tell the noise."""


def of_runs(runs: Sequence[RunResult], root: Path | None, name: str = "") -> Baseline:
    """A baseline of runs at hand.

    Args:
        runs: its runs.
        root: where earlier runs are looked for; None: nowhere.
        name: what it is called.
    """
    past = history(list(runs), root) if root is not None else []
    return Baseline(name=name, made="", runs=list(runs), measured=[measured(run) for run in runs], past=past)


def save_baseline(baseline: Baseline, folder: Path, *, force: bool) -> Path:
    """Write `<folder>/<name>.json` in one step.

    Raises:
        ConfigurationError: it is there already, its name is none for a file, a run is unfit, or it cannot be written.
    """
    if not _NAME.match(baseline.name):
        raise ConfigurationError(
            f"'{baseline.name}' is no name for a baseline. Use letters, digits, dots, dashes and underscores."
        )
    for run in baseline.runs:
        _require_fit(run)
    path = folder / f"{baseline.name}.json"
    if path.exists() and not force:
        raise ConfigurationError(
            f"There is a baseline {path} already. Choose another name, or replace it with --force."
        )
    runs = [
        {"folder": str(run.folder), "report": run.report.to_dict(), "measured": to_plain(one)}
        for run, one in zip(baseline.runs, baseline.measured, strict=True)
    ]
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    content = {"format": FORMAT, "version": VERSION, "name": baseline.name, "made": made, "runs": runs}
    content["past"] = [to_plain(one) for one in baseline.past]
    draft = path.with_suffix(".tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(content | {"hash": content_hash(content)}, indent=1, allow_nan=False) + "\n")
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _require_fit(run: RunResult) -> None:
    report = run.report
    why = (
        f"{report.status} (exit {report.exit_code})"
        if report.status != "done"
        else "emulated"
        if emulated(report)
        else "published by others"
        if is_published(report)
        else None
    )
    if why:
        raise ConfigurationError(f"{run.folder} is {why}: nothing can be held to it. Leave it out of the baseline.")


def find_baseline(name: str, folder: Path) -> Path | None:
    """The file of a baseline by its name, or by its path; None where there is none."""
    for path in (Path(name), folder / f"{name}.json"):
        if path.is_file() and is_baseline(path):
            return path
    return None


def is_baseline(path: Path) -> bool:
    """Whether a file says that it is one."""
    try:
        with path.open() as file:
            return f'"format": "{FORMAT}"' in file.read(200)
    except (OSError, UnicodeDecodeError):
        return False


def load_baseline(name: str, folder: Path) -> Baseline:
    """Read a baseline by its name or path.

    Raises:
        ConfigurationError: there is none (names the nearest), it was changed, or a later version wrote it.
    """
    path = find_baseline(name, folder)
    if path is None:
        names = [one.stem for one in list_baselines(folder)]
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
        hint = f" Nearest: {near[0]}." if near else f" {folder} holds none." if not names else ""
        raise ConfigurationError(
            f"There is no baseline '{name}' in {folder}.{hint} Save one with: python -m runner.compare baseline save "
            "NAME RUN…"
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        if content["version"] != VERSION:
            raise ConfigurationError(
                f"{path} is a baseline of version {content['version']}; this version of Touchstone reads {VERSION}. "
                "Read it with the version that wrote it, or save it anew."
            )
        if content_hash(content) != content["hash"]:
            raise ConfigurationError(
                f"{path} was changed after it was saved: its content has another hash. Save it anew."
            )
        return _parsed(content, path)
    except (KeyError, TypeError, AttributeError, ValueError, OSError) as error:
        raise ConfigurationError(f"{path} cannot be read as a baseline: {error}. Save it anew.") from error


def _parsed(content: dict[str, Any], path: Path) -> Baseline:
    runs = [
        RunResult(
            report=parse_text(json.dumps(one["report"]), f"{path}, {one['folder']}").report, folder=Path(one["folder"])
        )
        for one in content["runs"]
    ]
    told = [from_plain(one["measured"]) for one in content["runs"]]
    return Baseline(
        name=str(content["name"]),
        made=str(content["made"]),
        runs=runs,
        measured=[replace(one, kind=kind_of(run.report)) for one, run in zip(told, runs, strict=True)],
        past=[from_plain(one) for one in content["past"]],
    )


def list_baselines(folder: Path) -> list[Path]:
    """The files of the baselines in a folder, by name."""
    return sorted(path for path in folder.glob("*.json") if is_baseline(path)) if folder.is_dir() else []

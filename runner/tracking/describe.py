"""What MLflow shows beside a run's metrics: parameters, tags, a note. Pure but for the look at git."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.config.schema import Case
from runner.record.report import Report
from runner.tracking.points import clean_key

MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 5000
GIT_TIMEOUT_S = 5.0
UID_TAG = "touchstone.run_uid"
PARENT_TAG = "mlflow.parentRunId"
STATUS = {"done": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
"""Report status to MLflow's."""
_VERSIONS = ("python", "torch", "lightning")


def params(case: Case) -> dict[str, str]:
    """The case, flattened to `model.train.optimizer.lr` and the like; where and how the run is kept is left out."""
    return {clean_key(key)[:MAX_KEY]: _shorten(text, MAX_PARAM) for key, text in _flatten("", case.deciding())}


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flatten(f"{prefix}.{key}" if prefix else str(key), item)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def case_tags(case: Case, run_folder: Path) -> dict[str, str]:
    """What runs are found and grouped by, known before the run."""
    tags = {
        "task": case.task.name,
        "model": case.model.name,
        "framework": case.framework.name,
        "compiler": case.compiler.name,
        "vendor": case.vendor.name,
        "precision": case.precision.name,
        "topology": case.topology.name,
        "scale": case.scale,
        "data": case.data.name,
        "measure": case.measure.name,
        "emulated": json.dumps(case.emulate),
        "touchstone.identity": case.identity,
        "touchstone.run_folder": run_folder.name,
        "mlflow.source.name": "touchstone",
    }
    return tags | ({"chip": case.vendor.chip} if case.vendor.chip else {})


def report_tags(report: Report) -> dict[str, str]:
    """What is known only after the run: chip, division, versions, how it ended."""
    found: dict[str, Any] = {
        "chip": report.case.get("chip"),
        "division": report.division.name,
        "touchstone.status": report.status,
        "touchstone.exit_code": report.exit_code,
        "touchstone.error": report.error["class"] if report.error else None,
        "mlflow.note.content": _note(report),
    }
    found |= {name: _version(report.environment, name) for name in _VERSIONS}
    return {key: _shorten(str(value), MAX_TAG) for key, value in found.items() if value not in (None, "")}


def _version(environment: Mapping[str, Any], name: str) -> str | None:
    """A version as the worker reported it, at the top or one level below."""
    tables = [environment, *(value for value in environment.values() if isinstance(value, Mapping))]
    names = (name, f"pytorch_{name}", f"pytorch-{name}", f"{name}_version")
    found = (table[key] for table in tables for key in names if isinstance(table.get(key), str))
    return next(found, None)


def _note(report: Report) -> str:
    """The run's description in the user interface: why it failed, and what to keep in mind."""
    lines = [f"**{report.error['class']}**: {report.error['message']}"] if report.error else []
    return "\n\n".join([*lines, *(f"- {warning}" for warning in report.warnings)])


def git_tags() -> dict[str, str]:
    """Commit of the source this process runs from, and whether it was changed; empty when it is no checkout."""
    source = Path(__file__)
    # An installed copy may lie inside somebody else's repository: only a file that git tracks tells of ours.
    if _git(source.parent, "ls-files", "--error-unmatch", source.name) is None:
        return {}
    commit = _git(source.parent, "rev-parse", "HEAD")
    changes = _git(source.parent, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return {}
    return {"mlflow.source.git.commit": commit, "touchstone.git_dirty": json.dumps(bool(changes))}


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command; None when it failed or there is no git."""
    try:
        command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

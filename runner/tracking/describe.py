"""Parameters and tags of a run: what it is found by. Pure but for the look at git."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.config.schema import Case
from runner.core.tasks import TASKS
from runner.record.names import LAST, is_accuracy, is_quality, number
from runner.record.report import Report
from runner.tracking.page.note import missing
from runner.tracking.points import clean_key

MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 5000
GIT_TIMEOUT_S = 5.0
UID_TAG = "touchstone.run_uid"
PLACE_TAG = "touchstone.run_path"
"""The run folder as seen from `run.root`."""
REASON_TAG = "reason."
"""Before the name of a figure that matters and is null."""
ERROR_TAGS = ("touchstone.error", "quality")
"""Tags that not every report gives."""
PARENT_TAG = "mlflow.parentRunId"
STATUS = {"done": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
"""Report status to MLflow's."""
_VERSIONS = ("python", "torch", "lightning")
_EMPTY = ("null", "[]", "{}", "")
_VENDOR_PARAMS = ("name", "chip", "communication_backend")
"""Of a vendor's section; the rest says what its stack offers, not what was run."""


def params(case: Case) -> dict[str, str]:
    """What was chosen, flattened to `model.train.optimizer.lr` and the like.

    Left out: where and how the run is kept, what is null, the section of the model that the task does not use, and what
    a vendor's stack offers.
    """
    values = case.deciding()
    values["vendor"] = {key: values["vendor"][key] for key in _VENDOR_PARAMS}
    if values["model"] is not None:
        values["model"].pop("train" if TASKS.find(case.task.name).serves else "infer")
    listed = ((key, text) for key, text in _flatten("", values) if text not in _EMPTY)
    return {clean_key(key)[:MAX_KEY]: _shorten(text, MAX_PARAM) for key, text in listed}


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flatten(f"{prefix}.{key}" if prefix else str(key), item)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def case_tags(case: Case, run_folder: Path, *, place: str) -> dict[str, str]:
    """What runs are found and grouped by, known before the run.

    Args:
        case: what is run.
        run_folder: where.
        place: that folder as seen from `run.root`.
    """
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
        PLACE_TAG: place,
        "mlflow.source.name": "touchstone",
    }
    more = {"chip": case.vendor.chip, "load": case.load.name if TASKS.find(case.task.name).serves else None}
    return tags | {key: value for key, value in more.items() if value}


def report_tags(report: Report, *, description: str) -> dict[str, str]:
    """What is known only after the run: chip, division, versions, how it ended, and how good it was."""
    found: dict[str, Any] = {
        "chip": report.case.get("chip"),
        "division": report.division.name,
        "publishable": json.dumps(bool(value_of(report, "run/publishable"))),
        "quality": _quality(report),
        "touchstone.status": report.status,
        "touchstone.exit_code": report.exit_code,
        "touchstone.error": report.error["class"] if report.error else None,
        "mlflow.note.content": description,
    }
    found |= {name: _version(report.environment, name) for name in _VERSIONS}
    found |= {f"{REASON_TAG}{name}": report.figures[name].reason for name in missing(report)}
    return {clean_key(key): _shorten(str(value), MAX_TAG) for key, value in found.items() if value not in (None, "")}


def value_of(report: Report, name: str) -> float | None:
    """The value of a figure; None when it was not measured, or the report has none of that name."""
    figure = report.figures.get(name)
    return figure.value if figure is not None else None


def _quality(report: Report) -> str | None:
    """The best quality, or the engine's accuracy, with the metric's name: each model has its own."""
    told = [
        f"{name.partition('/')[2]} {number(figure.value)}"
        for name, figure in report.figures.items()
        if (is_quality(name) or is_accuracy(name)) and not name.endswith(LAST) and figure.value is not None
    ]
    return ", ".join(told) or None


def _version(environment: Mapping[str, Any], name: str) -> str | None:
    """A version as the worker reported it, at the top or one level below."""
    tables = [environment, *(value for value in environment.values() if isinstance(value, Mapping))]
    names = (name, f"pytorch_{name}", f"pytorch-{name}", f"{name}_version")
    found = (table[key] for table in tables for key in names if isinstance(table.get(key), str))
    return next(found, None)


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

"""Which results may be compared with each other, and what a reader must know of those that may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.comparison.result import UNSTATED, Comparable, RunResult, emulated, is_published, known, value_of
from runner.core.errors import ConfigurationError
from runner.record.names import LAST, is_quality
from runner.record.report import Report
from runner.record.task import task_named, trains

NO_TARGET = "-"
_MEASURING = ("measure.", "tracking.")
"""Changed keys that change how well something is measured, not what."""

Differing = dict[str, dict[str, Path]]
"""Field → each of its values with the first run that has it."""


def comparable_key(report: Comparable) -> tuple[tuple[str, str], ...]:
    """What two results must have in common to be ranked, as (field, value) pairs."""
    case = report.case
    return (
        ("task", str(case.get("task"))),
        ("model", str(case.get("model"))),
        ("scale", str(case.get("scale"))),
        ("emulated", "yes" if emulated(report) else "no"),
        ("data", str(case.get("data"))),
        ("load", str(case.get("load"))),
        ("quality target", _targets(report)),
    )


def groups(runs: Sequence[RunResult]) -> list[list[RunResult]]:
    """The runs in groups that may be ranked, in the order in which each group first appears."""
    found: dict[tuple[tuple[str, str], ...], list[RunResult]] = {}
    for run in runs:
        found.setdefault(comparable_key(run.report), []).append(run)
    return list(found.values())


def require_comparable(runs: Sequence[RunResult]) -> None:
    """Refuse runs that must not be ranked.

    Raises:
        ConfigurationError: names the field that differs and each of its values with a run that has it.
    """
    differing = unlike(runs)
    if not differing:
        return
    said = []
    for field, values in differing.items():
        held = ", ".join(f"{value} in {folder}" for value, folder in values.items())
        said.append(f"{field} differs ({held})")
    raise ConfigurationError(
        f"These runs must not be compared: {'; '.join(said)}. Compare runs that agree in this, "
        "or add --force to see them side by side without a ranking."
    )


def differing_fields(runs: Sequence[RunResult]) -> Differing:
    """Fields that forbid a ranking: each value with the first run that has it."""
    seen: Differing = {}
    for run in runs:
        for field, value in comparable_key(run.report):
            if value != UNSTATED:
                seen.setdefault(field, {}).setdefault(value, run.folder)
    if any(is_published(run.report) for run in runs) and all(map(trains, seen.get("task", {}))):
        seen.pop("task", None)  # what others publish of training holds for both: throughput is defined once
    return {field: values for field, values in seen.items() if len(values) > 1}


def unlike(runs: Sequence[RunResult]) -> Differing:
    """As `differing_fields`, and keys by which the runs did other work: they are never compared unless forced."""
    return differing_fields(runs) | _changed_workload(runs)


def _changed_workload(runs: Sequence[RunResult]) -> Differing:
    """Keys that make it another piece of work: an architecture, a length, an optimizer that only some runs have."""
    changes = [_workload_changes(run.report) for run in runs]
    found: Differing = {}
    for key in sorted({key for one in changes for key in one}):
        reference = next(one[key][0] for one in changes if key in one)
        for run, own in zip(runs, changes, strict=True):
            if not is_published(run.report) and not run.report.imported:
                found.setdefault(key, {}).setdefault(own[key][1] if key in own else reference, run.folder)
    return {key: values for key, values in found.items() if len(values) > 1}


def _workload_changes(report: Report) -> dict[str, tuple[str, str]]:
    return {} if report.imported else workload_changes(report.division.changed)


def workload_changes(changed: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Of a division's changed keys those that no vendor may change and that change what is computed.

    Returns:
        Key to its value as shipped and as run.
    """
    return {
        str(one["key"]): (str(one.get("reference")), str(one.get("value")))
        for one in changed
        if not one.get("allowed") and not str(one["key"]).startswith(_MEASURING)
    }


def sort_runs(runs: Sequence[RunResult], figure: str) -> list[RunResult]:
    """The runs from best to worst in one figure; runs that did not measure it come last.

    Raises:
        ConfigurationError: no run has this figure; names the nearest one.
    """
    require_figure(figure, runs, "--sort")
    sign = 1 if known(figure, runs[0].report).better == "lower" else -1

    def key(run: RunResult) -> tuple[bool, float]:
        value = value_of(run.report, figure)
        return value is None, 0.0 if value is None else sign * value

    return sorted(runs, key=key)


def require_figure(figure: str, runs: Sequence[RunResult], option: str) -> None:
    """Refuse a figure that no run has.

    Raises:
        ConfigurationError: names the nearest one.
    """
    have = {name for run in runs for name in run.report.figures}
    if figure in have:
        return
    import difflib

    near = difflib.get_close_matches(figure, sorted(have), n=1, cutoff=0)
    hint = f" Nearest: {near[0]}." if near else ""
    raise ConfigurationError(f"{option} {figure}: no such figure in these runs.{hint}")


def _targets(report: Comparable) -> str:
    if is_published(report):
        return UNSTATED
    targets = report.case.get("quality_targets")
    task = task_named(report.case.get("task"))
    if task is None or not task.quality_target:
        return NO_TARGET
    if not isinstance(targets, dict):
        metrics = [name for name in report.figures if is_quality(name) and not name.endswith(LAST)]
        targets = {" ".join(sorted(metrics)): value_of(report, "quality/target")}
    return ", ".join(f"{name} {goal:g}" if goal is not None else name for name, goal in sorted(targets.items()))

"""Which results may be ranked with each other, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.core.errors import ConfigurationError
from runner.record.names import LAST, is_quality
from runner.record.report import Report
from runner.record.task import task_named
from runner.views.meanings import known
from runner.views.page import NULL
from runner.views.ranking import value_of
from runner.views.tables import emulated


@dataclass(kw_only=True, slots=True)
class RunResult:
    """A result and where it lies."""

    report: Report
    folder: Path


def comparable_key(report: Report) -> tuple[tuple[str, str], ...]:
    """What two results must have in common to be ranked, as (field, value) pairs."""
    case = report.case
    return (
        ("task", str(case.get("task"))),
        ("model", str(case.get("model"))),
        ("scale", str(case.get("scale"))),
        ("emulated", "yes" if emulated(report) else "no"),
        ("data", str(case.get("data"))),
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
    differing = differing_fields(runs)
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


def sort_runs(runs: Sequence[RunResult], figure: str) -> list[RunResult]:
    """The runs from best to worst in one figure; runs that did not measure it come last.

    Raises:
        ConfigurationError: no run has this figure; names the nearest one.
    """
    have = {name for run in runs for name in run.report.figures}
    if figure not in have:
        import difflib

        near = difflib.get_close_matches(figure, sorted(have), n=1, cutoff=0)
        hint = f" Nearest: {near[0]}." if near else ""
        raise ConfigurationError(f"--sort {figure}: no such figure in these runs.{hint}")
    sign = 1 if known(figure, runs[0].report).better == "lower" else -1

    def key(run: RunResult) -> tuple[bool, float]:
        value = value_of(run.report, figure)
        return value is None, 0.0 if value is None else sign * value

    return sorted(runs, key=key)


def _targets(report: Report) -> str:
    targets = report.case.get("quality_targets")
    task = task_named(report.case.get("task"))
    if task is None or not task.quality_target:
        return NULL
    if not isinstance(targets, dict):
        metrics = [name for name in report.figures if is_quality(name) and not name.endswith(LAST)]
        targets = {" ".join(sorted(metrics)): value_of(report, "quality/target")}
    return ", ".join(f"{name} {goal:g}" if goal is not None else name for name, goal in sorted(targets.items()))


def differing_fields(runs: Sequence[RunResult]) -> dict[str, dict[str, Path]]:
    """Fields that forbid a ranking: each value with the first run that has it."""
    seen: dict[str, dict[str, Path]] = {}
    for run in runs:
        for field, value in comparable_key(run.report):
            seen.setdefault(field, {}).setdefault(value, run.folder)
    return {field: values for field, values in seen.items() if len(values) > 1}

"""Several runs of one kind as one result: the mean over the runs, the interval over them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runner.comparison.result import RunResult, is_published, known
from runner.core.errors import ConfigurationError, TargetNotReachedError
from runner.core.statistics import t_interval
from runner.record.report import Figure, Report

MISSED = TargetNotReachedError.exit_code
KIND = (
    *("task", "model", "framework", "compiler", "vendor", "chip", "precision", "topology", "devices", "scale", "data"),
    *("nodes", "layout", "load", "measure", "emulated", "batch_size", "gradient_accumulation_steps", "unit"),
    "quality_targets",
)
"""Keys of the case that runs must share to be joined: a mean over two batch sizes is of neither."""


def grouped(runs: Sequence[RunResult], keys: Sequence[str]) -> list[RunResult]:
    """One result for each value of some keys of the case, published figures left as they are.

    Raises:
        ConfigurationError: no case has such a key, or a group holds runs of different kinds (names what differs).
    """
    cases = [run.report.case for run in runs]
    for key in keys:
        if not any(key in case for case in cases):
            import difflib

            near = difflib.get_close_matches(key, sorted({name for case in cases for name in case}), n=1, cutoff=0)
            raise ConfigurationError(f"by={key}: no case has this key. Nearest: {near[0] if near else 'none'}.")
    found: dict[tuple[str, ...], list[RunResult]] = {}
    for run in runs:
        value = (str(run.folder),) if is_published(run.report) else tuple(str(run.report.case.get(key)) for key in keys)
        found.setdefault(value, []).append(run)
    names = [" ".join(f"{key}={part}" for key, part in zip(keys, value, strict=False)) for value in found]
    return [join(group, name) for group, name in zip(found.values(), names, strict=True)]


def join(runs: Sequence[RunResult], name: str) -> RunResult:
    """Runs of one kind as one result; those that failed are left out, and that is said.

    Raises:
        ConfigurationError: they are of different kinds; names what differs.
    """
    if len(runs) == 1:
        return runs[0]
    _require_one_kind(runs, name)
    # One that missed its target did all it had to: without it, time to target would be that of the lucky ones.
    ended = [run for run in runs if run.report.status == "done" or run.report.exit_code == MISSED] or list(runs)
    done = sorted(ended, key=lambda run: run.report.status == "done")
    reports = [run.report for run in done]
    warnings = [f"Joined: {len(done)} runs of {name}: means over the runs, intervals over them."]
    if len(done) < len(runs):
        left_out = len(runs) - len(done)
        warnings.append(f"Joined: {left_out} of {len(runs)} runs of {name} did not end well and are left out.")
    figures = dict.fromkeys(figure for report in reports for figure in report.figures)
    joined = replace(
        reports[0],
        case=reports[0].case | {"repeats": len(done), "name": name},
        figures={figure: _join(figure, reports) for figure in figures},
        warnings=[*warnings, *dict.fromkeys(text for report in reports for text in report.warnings)],
    )
    return RunResult(report=joined, folder=Path(f"{name} ({len(done)} runs)"))


def _require_one_kind(runs: Sequence[RunResult], name: str) -> None:
    for key in KIND:
        values = dict.fromkeys(str(run.report.case.get(key)) for run in runs)
        if len(values) > 1:
            raise ConfigurationError(
                f"The {len(runs)} runs of {name} differ in {key} ({', '.join(values)}), so that their mean would be of "
                f"neither. Add {key} to by=, or narrow the filter: and {key}={next(iter(values))}"
            )
    changes = [{str(one["key"]): str(one["value"]) for one in run.report.division.changed} for run in runs]
    for key in sorted({key for one in changes for key in one} - {"seed"}):
        values = dict.fromkeys(one.get(key, "unchanged") for one in changes)
        if len(values) > 1:
            raise ConfigurationError(
                f"The {len(runs)} runs of {name} differ in {key} ({', '.join(values)}), so that their mean would be of "
                "neither. Narrow the filter."
            )


def _join(name: str, reports: Sequence[Report]) -> Figure:
    figures = [report.figures.get(name) for report in reports]
    first = next(figure for figure in figures if figure is not None)
    values = [figure.value for figure in figures if figure is not None and figure.value is not None]
    units = {figure.unit for figure in figures if figure is not None}
    if len(values) < len(figures) or len(units) > 1:
        why = next((figure.reason for figure in figures if figure and figure.reason), "not in their reports")
        reason = f"in {' and '.join(sorted(units))}" if len(units) > 1 else why
        missing = len(figures) - len(values)
        told = reason if len(units) > 1 or not values else f"{missing} of {len(figures)} runs lack it: {why}"
        return Figure(value=None, unit=first.unit, reason=told)
    if first.unit == "bool":
        return Figure(value=min(values), unit="bool")
    meaning = known(name, reports[0])
    if meaning.form == "label" and len(set(values)) > 1:
        return Figure(value=None, unit=first.unit, reason="the runs do not name the same one")
    if meaning.highest or meaning.form == "label":
        return Figure(value=max(values), unit=first.unit, repeats=tuple(values))
    return Figure(value=statistics.fmean(values), unit=first.unit, repeats=tuple(values), interval=t_interval(values))

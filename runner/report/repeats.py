"""Joins the repeats of a case: mean and Student's t interval over fresh processes."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

from runner.report.schema import Figure, Report
from runner.stats import t_interval

REPEATS = "repeats"
"""Folder of the repeats' own run folders inside a run folder."""


def repeat_folders(run_folder: Path) -> list[Path]:
    """Run folders of the repeats, in order; empty for a case that ran once."""
    return sorted(path.parent for path in (run_folder / REPEATS).glob("*/run.yaml"))


def combine(outer: Report, repeats: list[Report]) -> Report:
    """One report of several: figures become means with intervals.

    Args:
        outer: the report of the enclosing folder; its status, error and case are kept.
        repeats: one report for each fresh process.
    """
    done = [report for report in repeats if report.status == "done"]
    basis = done or repeats
    figures = {name: _join(name, basis) for name in basis[0].figures}
    warnings = [f"Repeat {number}: {text}" for number, one in enumerate(repeats, 1) for text in one.warnings]
    if len(done) < len(repeats):
        warnings.append(
            f"{len(repeats) - len(done)} of {len(repeats)} repeats did not finish; the figures are the others'."
        )
    return replace(
        outer,
        figures=figures,
        case=basis[0].case | {"repeats": len(repeats)},
        precision=basis[0].precision,
        environment=basis[0].environment,
        division=basis[0].division,
        warnings=warnings,
    )


def _join(name: str, reports: list[Report]) -> Figure:
    figures = [report.figures[name] for report in reports]
    missing = next((figure for figure in figures if figure.value is None), None)
    if missing is not None:
        return missing
    values = [figure.value for figure in figures if figure.value is not None]
    if figures[0].unit == "bool":
        return Figure(value=min(values), unit="bool")
    return Figure(value=statistics.fmean(values), unit=figures[0].unit, interval=t_interval(values))

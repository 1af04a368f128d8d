"""Joins the repeats of a case: mean and Student's t interval over fresh processes."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

from runner.core.errors import TargetNotReachedError
from runner.core.statistics import t_interval
from runner.record.report import Figure, Publication, Report
from runner.record.task import meaning

REPEATS = "repeats"
"""Folder of the repeats' own run folders inside a run folder."""


def repeat_folders(run_folder: Path) -> list[Path]:
    """Run folders of the repeats, in order; empty for a case that ran once."""
    return sorted(path.parent for path in (run_folder / REPEATS).glob("*/run.yaml"))


def combine(outer: Report, repeats: list[Report]) -> Report:
    """One report of several: figures become means with intervals, highest values the highest of all.

    Args:
        outer: the report of the enclosing folder; its status, error and own warnings are kept.
        repeats: one report for each fresh process.
    """
    # One that missed its target did all it had to: without it, time to target would be that of the lucky ones.
    done = [one for one in repeats if one.exit_code in (0, TargetNotReachedError.exit_code)]
    basis = done or repeats
    figures = {name: _join(name, basis) for name in basis[0].figures}
    repeated = {text for one in repeats for text in one.warnings}
    own = [text for text in outer.warnings if text not in repeated]
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
        warnings=[*own, *warnings],
        publication=_together(outer, repeats),
    )


def _together(outer: Report, repeats: list[Report]) -> Publication | None:
    """What the case asks as a whole, and the conditions of every one of its processes."""
    if outer.publication is None:
        return None
    parts = [part for one in repeats if one.publication for part in one.publication.parts]
    return replace(outer.publication, parts=parts)


def _join(name: str, reports: list[Report]) -> Figure:
    figures = [report.figures[name] for report in reports]
    missing = next((figure for figure in figures if figure.value is None), None)
    if missing is not None:
        return missing
    values = [figure.value for figure in figures if figure.value is not None]
    if figures[0].unit == "bool":
        return Figure(value=min(values), unit="bool")
    seen = Figure(value=max(values), unit=figures[0].unit, repeats=tuple(values))
    known = meaning(name, reports[0].case.get("task"))
    if known.form == "label" and len(set(values)) > 1:
        named = ", ".join(f"{value:.0f}" for value in values)
        return Figure(value=None, unit=figures[0].unit, reason=f"the repeats do not name the same one: {named}")
    if known.highest or known.form == "label":
        return seen  # an interval belongs to a mean
    return replace(seen, value=statistics.fmean(values), interval=t_interval(values))

"""A comparison for programs: a row per figure and run as CSV, all of it as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from runner.comparison.answer import answer
from runner.comparison.compared import Compared, Comparison
from runner.comparison.notices import notices

COLUMNS = (
    *("run", "label", "figure", "unit", "better", "value", "interval_low", "interval_high", "repeats", "reason"),
    *("first_run", "first_value", "ratio", "ratio_low", "ratio_high", "outcome", "why"),
)


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """One row per figure and run, values unrounded; the first run's rows have no ratio."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for comparison in comparisons:
        for compared in comparison.figures.values():
            writer.writerows(_rows(comparison, compared))
    return out.getvalue()


def _rows(comparison: Comparison, compared: Compared) -> list[list[Any]]:
    rows = []
    first = compared.figures[0]
    for run, label, figure, found in zip(
        comparison.runs, comparison.labels, compared.figures, compared.differences, strict=True
    ):
        if figure is None:
            continue
        low, high = figure.interval or (None, None)
        row = [run.folder, label, compared.name, figure.unit, compared.meaning.better, figure.value, low, high]
        row += [len(figure.repeats) if figure.repeats else 1, figure.reason]
        ratio = found.ratio if found and comparison.ranked else None
        ends = (found.interval if found and comparison.ranked else None) or (None, None)
        outcome = (found.outcome if comparison.ranked else "not compared") if found else None
        row += [comparison.runs[0].folder, first.value if first else None, ratio, *ends, outcome]
        rows.append([*row, found.reason if found else None])
    return rows


def to_json(comparisons: Sequence[Comparison]) -> str:
    """An object for one comparison, a list for several: runs, answer, notices, figures with their differences."""
    plain = [_plain(one) for one in comparisons]
    return json.dumps(plain[0] if len(plain) == 1 else plain, indent=1) + "\n"


def _plain(comparison: Comparison) -> dict[str, Any]:
    runs = [
        {
            "run": str(run.folder),
            "label": label,
            "status": run.report.status,
            "case": run.report.case,
            "imported": run.report.imported,
        }
        for run, label in zip(comparison.runs, comparison.labels, strict=True)
    ]
    return {
        "answer": [line.text for line in answer(comparison)],
        "notices": notices(comparison),
        "ranked": comparison.ranked,
        "differing": {
            field: {value: str(folder) for value, folder in values.items()}
            for field, values in comparison.differing.items()
        },
        "interval": comparison.method,
        "runs": runs,
        "figures": {name: _figure(comparison, one) for name, one in comparison.figures.items()},
    }


def _figure(comparison: Comparison, compared: Compared) -> dict[str, Any]:
    values = [None if one is None else asdict(one) for one in compared.figures]
    differences = [None if one is None or not comparison.ranked else asdict(one) for one in compared.differences]
    return {
        "title": compared.meaning.title,
        "unit": compared.unit,
        "better": compared.meaning.better,
        "values": values,
        "differences": differences,
    }

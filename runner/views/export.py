"""Results for programs: one row per figure as CSV, whole reports as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from runner.views.comparable import RunResult
from runner.views.tables import emulated

CASE_COLUMNS = (
    "task",
    "model",
    "framework",
    "compiler",
    "vendor",
    "chip",
    "precision",
    "topology",
    "nodes",
    "devices",
    "layout",
    "scale",
    "data",
    "measure",
    "seed",
)
COLUMNS = (
    "run",
    "status",
    "exit_code",
    *CASE_COLUMNS,
    "emulated",
    "division",
    "figure",
    "value",
    "unit",
    "interval_low",
    "interval_high",
    "reason",
)


def to_csv(runs: Sequence[RunResult]) -> str:
    """One row per run and figure, values unrounded; an empty value has its reason in the last column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for run in runs:
        report = run.report
        about = {
            "run": run.folder,
            "status": report.status,
            "exit_code": report.exit_code,
            **{key: report.case.get(key) for key in CASE_COLUMNS},
            "emulated": emulated(report),
            "division": report.division.name,
        }
        same = [about[column] for column in COLUMNS if column in about]  # they come before the figures' own
        for name, figure in report.figures.items():
            low, high = figure.interval or (None, None)
            writer.writerow([*same, name, figure.value, figure.unit, low, high, figure.reason])
    return out.getvalue()


def to_json(runs: Sequence[RunResult]) -> str:
    """A single run's report as it is; several as a list of `{"run", "report"}`."""
    if len(runs) == 1:
        return json.dumps(runs[0].report.to_dict(), indent=1) + "\n"
    # A line each: indented, thousands of runs would take most of a minute.
    lines = (json.dumps({"run": str(run.folder), "report": run.report.to_dict()}) for run in runs)
    return "[\n" + ",\n".join(lines) + "\n]\n"

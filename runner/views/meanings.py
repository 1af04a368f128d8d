"""What the figures of a report mean, those of other versions included."""

from __future__ import annotations

from runner.record.names import Definition
from runner.record.report import Report
from runner.record.task import meaning


def known(name: str, report: Report) -> Definition:
    """What a figure means; one that this version does not know is shown under its own name."""
    try:
        return meaning(name, report.case.get("task"), quality_mode=report.case.get("quality_mode"))
    except KeyError:
        return Definition(name=name, title=name, unit=report.figures[name].unit if name in report.figures else "")

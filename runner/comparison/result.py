"""A result and where it lies, and what every comparison asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from runner.record.definition import Definition, define
from runner.record.report import Figure, Report
from runner.record.task import meaning

PUBLISHED = "published"
"""`Report.imported["format"]` of figures that others published."""
UNSTATED = "not stated"
"""What a published figure does not say of how it was measured: it refuses nothing, and is told."""


BATCH = ("batch_size", "gradient_accumulation_steps")
"""Keys of the case that make a step as large as it is."""

COST = define("cost/per_million_samples", "Cost per million samples", "1", "lower")
"""Known only where somebody says what an hour costs."""


class Comparable(Protocol):
    """What a report, or its summary, tells of a case."""

    @property
    def case(self) -> dict[str, Any]:
        """As in a report."""

    @property
    def figures(self) -> dict[str, Figure]:
        """As in a report."""

    @property
    def imported(self) -> dict[str, str]:
        """As in a report."""


@dataclass(kw_only=True, slots=True)
class RunResult:
    """A result and where it lies."""

    report: Report
    folder: Path
    """Of published figures and of joined runs what they are called by: nothing lies there."""


def value_of(report: Comparable, name: str) -> float | None:
    """A figure's value; null when it was not measured or is not in the report."""
    figure = report.figures.get(name)
    return figure.value if figure else None


def known(name: str, report: Comparable) -> Definition:
    """What a figure means; one that this version does not know is shown under its own name."""
    if name == COST.name:
        return COST
    try:
        return meaning(name, report.case.get("task"), quality_mode=report.case.get("quality_mode"))
    except KeyError:
        return Definition(name=name, title=name, unit=report.figures[name].unit if name in report.figures else "")


def emulated(report: Comparable) -> bool:
    """Whether the run only tried a vendor's configuration out on the host CPU."""
    return bool(report.case.get("emulated")) or bool(value_of(report, "run/emulated"))


def is_published(report: Comparable) -> bool:
    """Whether these are figures that others published, of which little else is known."""
    return report.imported.get("format") == PUBLISHED


def rule_changes(report: Report) -> set[tuple[str, str]]:
    """Changes beyond what a vendor may change."""
    return {
        (str(change["key"]), str(change["value"])) for change in report.division.changed if not change.get("allowed")
    }

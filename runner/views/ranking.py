"""Who is best in a figure, and whether a difference stands out of the noise. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.record.names import Definition, number
from runner.record.report import Figure, Report
from runner.views.page import UNRANKED


@dataclass(kw_only=True, slots=True)
class Column:
    """One run as a column."""

    label: str
    report: Report
    outside: str | None = None
    """Why it is not ranked with the others; null when it is."""

    @property
    def may_be_best(self) -> bool:
        """Whether it is ranked."""
        return self.outside is None


def value_of(report: Report, name: str) -> float | None:
    """A figure's value; null when it was not measured or is not in the report."""
    figure = report.figures.get(name)
    return figure.value if figure else None


def rule_changes(report: Report) -> set[tuple[str, str]]:
    """Changes beyond what a vendor may change."""
    return {
        (str(change["key"]), str(change["value"])) for change in report.division.changed if not change.get("allowed")
    }


def ratio(first: Figure | None, other: Figure, meaning: Definition, *, weighs: bool = True) -> str:
    """How many times the first column's value; nothing where a ratio has no meaning (yes/no, degrees Celsius).

    Args:
        first: the figure in the first column.
        other: the one in this column.
        meaning: what the figure is.
        weighs: false marks it as one that says nothing, because one of the two runs is not ranked.
    """
    if first is None or not first.value or other.value is None or meaning.form == "yes_no" or meaning.unit == "°C":
        return ""
    return f"({number(other.value / first.value, 3)}x{'' if weighs else UNRANKED})"


def best_of(columns: Sequence[Column], name: str, meaning: Definition) -> set[int]:
    """Columns that are best in a figure, with those whose interval overlaps its own; empty when nobody stands out."""
    if meaning.better is None or not _batch_allows(columns, meaning):
        return set()
    found = {
        index: column.report.figures[name]
        for index, column in enumerate(columns)
        if column.may_be_best and value_of(column.report, name) is not None
    }
    if len(found) < 2:  # noqa: PLR2004 - nobody is best alone
        return set()
    sign = 1 if meaning.better == "higher" else -1
    top = max(found.values(), key=lambda figure: sign * (figure.value or 0.0))
    best = {index for index, figure in found.items() if figure.value == top.value or _overlap(figure, top)}
    return set() if len(best) == len(found) else best


def _batch_allows(columns: Sequence[Column], meaning: Definition) -> bool:
    batches = {
        tuple(column.report.case.get(key) for key in ("batch_size", "gradient_accumulation_steps"))
        for column in columns
    }
    return not meaning.same_batch or len(batches) == 1


def _overlap(one: Figure, other: Figure) -> bool:
    if one.interval is None or other.interval is None:
        return False
    return one.interval[0] <= other.interval[1] and other.interval[0] <= one.interval[1]


def verdict(columns: Sequence[Column], figures: Sequence[Figure | None], meaning: Definition) -> str:
    """Whether the differences to the first column stand out of the noise."""
    first = figures[0]
    if meaning.better is None or meaning.form == "yes_no" or first is None or first.value is None:
        return ""
    if not _batch_allows(columns, meaning):
        return "batch differs"
    found: dict[int, str] = {}
    for index, figure in enumerate(figures[1:], start=2):
        if figure is not None and figure.value is not None:
            if not (columns[0].may_be_best and columns[index - 1].may_be_best):
                found[index] = "not ranked"
                continue
            unknown = first.interval is None or figure.interval is None
            found[index] = "no interval" if unknown else "not significant" if _overlap(first, figure) else "significant"
    if len(set(found.values())) <= 1:
        return next(iter(found.values()), "")
    return ", ".join(f"{index} {verdict}" for index, verdict in found.items())

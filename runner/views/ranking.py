"""Who is best in a figure, and whether a difference stands out of the noise. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.comparison.compared import Compared
from runner.comparison.difference import Difference, difference
from runner.comparison.result import BATCH, rule_changes, value_of
from runner.comparison.sample import sample_of
from runner.comparison.words import factor, short
from runner.messages import tr
from runner.record.names import Definition, number
from runner.record.report import Figure, Report
from runner.views.page import UNRANKED

__all__ = ["Column", "best_of", "ratio", "rule_changes", "value_of", "verdict"]


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


_NO_RATIO = ("yes_no", "label")
"""Forms of numbers that are no amounts."""


def ratio(first: Figure | None, other: Figure, meaning: Definition, *, weighs: bool = True) -> str:
    """How many times the first column's value; nothing where a ratio has no meaning (yes/no, degrees Celsius).

    Args:
        first: the figure in the first column.
        other: the one in this column.
        meaning: what the figure is.
        weighs: false marks it as one that says nothing, because one of the two runs is not ranked.
    """
    if first is None or not first.value or other.value is None or meaning.form in _NO_RATIO or meaning.unit == "°C":
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
    first = max(found, key=lambda index: sign * (found[index].value or 0.0))
    best = {
        index
        for index in found
        if found[index].value == found[first].value or _no_difference(columns, name, first, index, meaning)
    }
    return set() if len(best) == len(found) else best


def _no_difference(columns: Sequence[Column], name: str, one: int, other: int, meaning: Definition) -> bool:
    samples = [sample_of(columns[index].report.figures[name], columns[index].report.case) for index in (one, other)]
    if meaning.highest or samples[0] is None or samples[1] is None:
        return False
    return difference(samples[0], samples[1], meaning.better).outcome == "no difference shown"


def _batch_allows(columns: Sequence[Column], meaning: Definition) -> bool:
    batches = {tuple(column.report.case.get(key) for key in BATCH) for column in columns}
    return not meaning.same_batch or len(batches) == 1


def verdict(columns: Sequence[Column], compared: Compared) -> str:
    """Whether the differences to the first column stand out of the noise; of one other column, with their interval."""
    if compared.meaning.better is None or compared.meaning.form == "yes_no":
        return ""
    found: dict[int, str] = {}
    for index, one in enumerate(compared.differences[1:], start=2):
        if one is not None:
            ranked = columns[0].may_be_best and columns[index - 1].may_be_best
            found[index] = short(one) if ranked or one.outcome == "not compared" else tr("not ranked")
    if len(columns) == 2 and found and (told := compared.differences[1]) is not None:  # noqa: PLR2004 -- a pair
        return _with_interval(found[2], told, ranked=columns[0].may_be_best and columns[1].may_be_best)
    if len(set(found.values())) <= 1:
        return next(iter(found.values()), "")
    return ", ".join(f"{index} {said}" for index, said in found.items())


def _with_interval(said: str, found: Difference, *, ranked: bool) -> str:
    if found.interval is None or not ranked:
        return said
    low, high = map(factor, found.interval)
    return tr("{low} to {high}: {verdict}", low=low, high=high, verdict=said)

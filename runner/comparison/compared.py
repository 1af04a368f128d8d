"""Results side by side, figure by figure: each against the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from runner.comparison.difference import Difference, Method, difference
from runner.comparison.labels import labels
from runner.comparison.likeness import Differing, unlike
from runner.comparison.result import BATCH, RunResult, emulated, known
from runner.comparison.sample import sample_of
from runner.messages import tr
from runner.record.definition import Definition
from runner.record.report import Figure, Report

_NO_RATIO = ("°C",)
"""Units whose zero is chosen."""


@dataclass(kw_only=True)
class Compared:
    """One figure of all runs."""

    name: str
    meaning: Definition
    unit: str
    """Of the first run that has it."""
    figures: list[Figure | None]
    reports: list[Report]
    method: Method

    @cached_property
    def differences(self) -> list[Difference | None]:
        """Of each run to the first; null of the first, and where there is no ratio: a yes or no, a temperature."""
        first, *others = self.reports
        return [None, *(pair(self.name, self.meaning, first, other, self.method) for other in others)]


@dataclass(kw_only=True, slots=True)
class Comparison:
    """Results side by side."""

    runs: list[RunResult]
    labels: list[str]
    differing: Differing
    """Fields in which they differ and must not; not empty only where somebody forced it."""
    method: Method
    figures: dict[str, Compared]
    ranked: bool
    """Whether one may be called better than another."""

    @property
    def reports(self) -> list[Report]:
        """Their reports, in their order."""
        return [run.report for run in self.runs]


def compare(runs: Sequence[RunResult], method: Method = "welch") -> Comparison:
    """Hold every run to the first, in every figure that one of them has."""
    reports = [run.report for run in runs]
    names = dict.fromkeys(name for report in reports for name in report.figures)
    differing = unlike(runs)
    return Comparison(
        runs=list(runs),
        labels=labels(reports),
        differing=differing,
        method=method,
        figures={name: _compared(name, reports, method) for name in names},
        ranked=not differing and not any(map(emulated, reports)),
    )


def _compared(name: str, reports: Sequence[Report], method: Method) -> Compared:
    owner = next(report for report in reports if name in report.figures)
    return Compared(
        name=name,
        meaning=known(name, owner),
        unit=owner.figures[name].unit,
        figures=[report.figures.get(name) for report in reports],
        reports=list(reports),
        method=method,
    )


def pair(name: str, meaning: Definition, first: Report, other: Report, method: Method = "welch") -> Difference | None:
    """One figure of two results; None where a ratio means nothing, or one of them has not measured it."""
    one, two = first.figures.get(name), other.figures.get(name)
    if one is None or two is None or one.value is None or two.value is None:
        return None
    if meaning.form == "yes_no" or one.unit in ("bool", *_NO_RATIO):
        return None
    if one.unit != two.unit:
        why = tr("in {unit}, and the first is in {first}", unit=two.unit, first=one.unit)
        return Difference(outcome="not compared", reason=why)
    if meaning.same_batch and not _same_batch(first, other):
        return Difference(outcome="not compared", ratio=_plain_ratio(one, two), reason=tr("batch differs"))
    if meaning.highest:
        why = tr("a highest value has no interval")
        return Difference(outcome="no interval", ratio=_plain_ratio(one, two), reason=why)
    before, after = sample_of(one, first.case), sample_of(two, other.case)
    return None if before is None or after is None else difference(before, after, meaning.better, method)


def _same_batch(first: Report, other: Report) -> bool:
    return all(first.case.get(key) == other.case.get(key) for key in BATCH)


def _plain_ratio(one: Figure, two: Figure) -> float | None:
    return two.value / one.value if one.value and two.value and one.value > 0 and two.value > 0 else None

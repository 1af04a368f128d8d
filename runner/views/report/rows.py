"""A set of runs as rows, in groups whose figures mean the same. Nothing is ranked here; `runner.compare` does that."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from runner.comparison.result import known as figure_meaning
from runner.core.errors import TargetNotReachedError
from runner.messages import tr
from runner.record.definition import Definition
from runner.record.names import LAST, is_accuracy, is_quality, written
from runner.record.report import Figure
from runner.record.task import task_named
from runner.results.index.summary import Summary
from runner.views.page import NULL
from runner.views.tables import EMULATED, TINY

_QUALITY_MISSED = TargetNotReachedError.exit_code
_GROUPED = ("task", "model", "scale", "data", "load")
"""Keys of a case whose values a group has in common."""
_ADDED = re.compile(r"\((R|TM)\)|\b(Processor|CPU)\b", re.IGNORECASE)


@dataclass(kw_only=True, slots=True)
class RunRow:
    """One run, in words."""

    summary: Summary
    status: str
    ran: bool
    """Whether it was measured to its end."""
    where: str
    """Vendor and chip."""
    precision: str
    value: str
    """Of the group's main figure, without the unit."""
    interval: str
    quality: str
    publishable: str
    number: float | None
    """The value itself, in the unit as reported."""


@dataclass(kw_only=True, slots=True)
class RowGroup:
    """Runs of one case but for where, in which precision and with what it ran."""

    title: str
    mark: str
    """What must be known before any number: emulated, tiny, imported; empty where there is nothing."""
    word: str
    """The same in a word."""
    figure: str
    """Name of the main figure; empty where no run has one."""
    figure_title: str
    unit: str
    """As it is written in the rows, prefix included."""
    better: str
    """Which direction is an advantage, in words; empty where none is."""
    rows: list[RunRow]


def groups_of(summaries: Sequence[Summary]) -> list[RowGroup]:
    """Groups in the order in which each first appears."""
    found: dict[tuple[str, ...], list[Summary]] = {}
    for one in summaries:
        found.setdefault(_key(one), []).append(one)
    return [_group(members) for members in found.values()]


def failures_of(summaries: Sequence[Summary]) -> list[Summary]:
    """The runs that did not get as far as their figures."""
    return [one for one in summaries if not _ran(one)]


def failures_line(summaries: Sequence[Summary]) -> str:
    """How many failed of what, in one line; empty where none did."""
    failed = failures_of(summaries)
    if not failed:
        return ""
    counts = Counter(f"{one.error_class or one.status} (exit {one.exit_code})" for one in failed)
    causes = ", ".join(f"{count} x {cause}" for cause, count in counts.most_common())
    return tr("{failed} of {count} runs failed: {causes}", failed=len(failed), count=len(summaries), causes=causes)


def where_of(summary: Summary) -> str:
    """Vendor and chip, and how many of them where there are several."""
    case = summary.case
    chip = chip_of(case.get("chip"))
    told = f"{case.get('vendor')} ({chip})" if chip else str(case.get("vendor") or NULL)
    devices = case.get("devices")
    return f"{devices} x {told}" if isinstance(devices, int) and devices > 1 else told


def chip_of(name: object) -> str:
    """A chip's name without what every driver adds to it; empty where there is none."""
    return " ".join(_ADDED.sub(" ", str(name)).split()) if name else ""


def main_figure(members: Sequence[Summary]) -> str:
    """The first figure that matters and that some of the runs measured; empty where there is none."""
    names = _promised(members[0])
    measured = {name for one in members for name, figure in one.figures.items() if figure.value is not None}
    return next((name for name in names if name in measured), "")


def _key(one: Summary) -> tuple[str, ...]:
    targets = one.case.get("quality_targets")
    task = task_named(one.case.get("task"))
    goal = str(sorted(targets.items())) if isinstance(targets, dict) and task and task.quality_target else ""
    emulated, imported = str(one.emulated), one.imported.get("format", "")
    return *(str(one.case.get(key)) for key in _GROUPED), str(one.case.get("unit")), emulated, imported, goal


def _promised(one: Summary) -> tuple[str, ...]:
    task = task_named(one.case.get("task"))
    promised = task.main_figures(one.case) if task else ()
    return (*promised, *one.figures) if one.imported or task is None else promised


def _group(members: list[Summary]) -> RowGroup:
    first = members[0]
    name = main_figure(members)
    known = figure_meaning(name, next(one for one in members if name in one.figures)) if name else None
    values = [one.figures[name].value for one in members if name in one.figures]
    largest = max((abs(value) for value in values if value is not None), default=None)
    rows = [_row(one, name, known, largest) for one in members if _ran(one)]
    unit = next((unit for one in members if (unit := _written(one, name, known, largest)[1])), "")
    better = {"higher": tr("higher is better"), "lower": tr("lower is better")}
    return RowGroup(
        title=" · ".join(str(first.case[key]) for key in _GROUPED if first.case.get(key)),
        mark=_mark(first),
        word=_word(first),
        figure=name,
        figure_title=tr(known.title) if known else "",
        unit=unit,
        better=better.get(known.better or "", "") if known else "",
        rows=rows,
    )


def _mark(one: Summary) -> str:
    if one.emulated:
        return tr(EMULATED)
    if one.imported:
        return tr("IMPORTED from {format}: measured by another tool.", format=one.imported.get("format", NULL))
    if one.case.get("scale") == "tiny":
        return tr(TINY)
    return ""


def _word(one: Summary) -> str:
    if one.emulated:
        return tr("EMULATED")
    if one.imported:
        return tr("IMPORTED")
    return tr("TINY") if one.case.get("scale") == "tiny" else ""


def _ran(one: Summary) -> bool:
    return one.exit_code in (0, _QUALITY_MISSED) and one.status != "killed"


def _row(one: Summary, name: str, known: Definition | None, largest: float | None) -> RunRow:
    figure = one.figures.get(name)
    return RunRow(
        summary=one,
        status=_status(one),
        ran=_ran(one),
        where=where_of(one),
        precision=str(one.case.get("precision") or NULL),
        value=_written(one, name, known, largest)[0],
        interval=_interval(figure, known, largest) if figure and known else "",
        quality=_quality(one),
        publishable=_publishable(one),
        number=figure.value if figure else None,
    )


def _status(one: Summary) -> str:
    if one.status == "done":
        return tr("done")
    if one.exit_code == _QUALITY_MISSED:
        return tr("quality missed")
    return tr("killed") if one.status == "killed" else tr("failed")


def _publishable(one: Summary) -> str:
    if one.emulated:
        return tr("emulated")
    if one.imported:
        return tr("imported")
    if not one.intact:
        return tr("changed afterwards")
    return tr("yes") if one.publishable else tr("no")


def _written(one: Summary, name: str, known: Definition | None, largest: float | None) -> tuple[str, str]:
    figure = one.figures.get(name)
    if figure is None or figure.value is None or known is None:
        return NULL, ""
    return written(figure.value, figure.unit, known.form, like=largest)


def _interval(figure: Figure, known: Definition, largest: float | None) -> str:
    if figure.interval is None:
        return ""
    low, high = (written(end, figure.unit, known.form, like=largest)[0] for end in figure.interval)
    return tr("{low} to {high}", low=low, high=high)


def _quality(one: Summary) -> str:
    """The best evaluation, or what an engine kept of the reference's accuracy; `-` where quality was not asked for."""
    kept = one.figures.get("accuracy/kept")
    if kept is not None and kept.value is not None:
        return tr("{percent} % of the reference's", percent=written(kept.value, "1", "percent")[0])
    for name, figure in one.figures.items():
        if figure.value is not None and (is_accuracy(name) or (is_quality(name) and not name.endswith(LAST))):
            return f"{name.partition('/')[2]} {written(figure.value, figure.unit)[0]}"
    return NULL

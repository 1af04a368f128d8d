"""Several results side by side: who is best at what, by how much, and whether the difference means anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.record.names import LAST, written
from runner.record.report import Report
from runner.record.values import known as value_known
from runner.results.host import OTHERS, isolated
from runner.results.rules import reasons
from runner.views.comparable import RunResult, differing_fields
from runner.views.meanings import known
from runner.views.page import BEST, NULL, UNRANKED, Grid, Page
from runner.views.ranking import Column, best_of, ratio, rule_changes, value_of, verdict
from runner.views.tables import emulated, first_line, marks, measures, on_first_screen, order, publishable

_ABOUT = (
    "task",
    "model",
    "vendor",
    "chip",
    "precision",
    "compiler",
    "framework",
    "topology",
    "devices",
    "scale",
    "data",
)
_LABELLED = (*_ABOUT, "measure", "seed")
_BARE = frozenset(_ABOUT) - {"devices"}
MANY = 40
"""More runs than this are shown as rows."""
_WIDE = 4
"""Figures of each, then."""
_NAMED = 6
"""More missing figures than this are counted, not named."""
_REASONS = 3
"""Reasons that are told of each run that is not publishable; its own page has them all."""
_SAID_BY_MARKS = frozenset({"run/emulated", "run/publishable"})


def page(runs: Sequence[RunResult]) -> Page:
    """Figures as rows, runs as columns. Runs that must not be compared are not ranked, and that is said."""
    assert runs
    reports = [run.report for run in runs]
    differing = differing_fields(runs)
    ranked = not differing and not emulated(reports[0])
    columns = _columns(reports, ranked=ranked)
    made = Page()
    _head(made, reports, differing)
    every = dict.fromkeys(name for report in reports for name in report.figures)
    names = sorted((name for name in every if _shown(name, reports)), key=order)
    if len(runs) > MANY:
        return _many(made, columns, names, [run.folder for run in runs], ranked=ranked)
    made.blocks.append(_grid(columns, names, ranked=ranked))
    if ranked:
        _legend(made, columns)
    _status(made, columns)
    _missing(made, columns, names)
    made.note("Runs", "heading")
    for index, run in enumerate(runs):
        made.note(f"{columns[index].label}: {run.folder}", "item")
    return made


def _many(made: Page, columns: list[Column], names: list[str], folders: list[Path], *, ranked: bool) -> Page:
    """Runs as rows, the first screen's figures as columns: more runs than anybody reads side by side."""
    headline = known_headline(columns, names)[:_WIDE]
    figures = [_row(columns, name, ranked=ranked) for name in headline]
    header = ["Run", *(" ".join([title, f"({unit})" if unit else ""]).strip() for title, unit, *_ in figures), "Note"]
    rows = []
    for index, column in enumerate(columns):
        note = "; ".join(_told_of(column))
        rows.append([column.label, *(figure[2 + index] for figure in figures), note])
    made.blocks.append(Grid(header=header, rows=rows, right=frozenset(range(1, 1 + len(headline)))))
    if ranked:
        _legend(made, columns)
    made.note("Runs", "heading")
    made.note("\n".join(f"{column.label}: {folder}" for column, folder in zip(columns, folders, strict=True)))
    made.note("--format csv or json has all their figures.")
    return made


def known_headline(columns: list[Column], names: list[str]) -> list[str]:
    """The figures of the first screen that some run measured, in their order."""
    reports = [column.report for column in columns]
    promised = [name for name in names if on_first_screen(name, reports[0]) and not name.startswith("run/")]
    return [name for name in promised if any(value_of(report, name) is not None for report in reports)]


def _shown(name: str, reports: list[Report]) -> bool:
    """Whether a figure gets a row: someone measured it, or the first screen promises it."""
    single = name.endswith("_per_device") and all(report.case.get("devices") == 1 for report in reports)
    if name in _SAID_BY_MARKS or single:
        return False
    measured = any(value_of(report, name) is not None for report in reports)
    promised = any(on_first_screen(name, report) for report in reports)
    return measured or (promised and not name.endswith(LAST) and name != "throughput/tokens_per_second")


def _columns(reports: list[Report], *, ranked: bool) -> list[Column]:
    labels = _labels(reports)
    rules = [rule_changes(report) for report in reports]
    same_rules = all(changes == rules[0] for changes in rules)
    outside = [_outside(report, same_rules=same_rules) if ranked else "not ranked" for report in reports]
    return [
        Column(label=f"{index + 1}: {label}" if label else f"{index + 1}", report=report, outside=why)
        for index, (report, label, why) in enumerate(zip(reports, labels, outside, strict=True))
    ]


def _outside(report: Report, *, same_rules: bool) -> str | None:
    """Why a run is not ranked with the others: what counts is only what may be published, on an undisturbed host."""
    if report.status != "done":
        return report.status
    if not measures(report):
        return None  # counted, not measured
    if not publishable(report):
        return f"not publishable ({'; '.join(reasons(report)[:_REASONS])})"
    if isolated(value_known(value_of(report, OTHERS), "not measured")) is False:
        return "others disturbed its host"
    return None if same_rules or report.division.name == "closed" else "open division"


def _labels(reports: list[Report]) -> list[str]:
    """What tells each run from the others, as short as it can be said."""
    differ = [key for key in _LABELLED if len({str(report.case.get(key)) for report in reports}) > 1]
    labels = [
        " ".join(_say(key, report.case[key]) for key in differ if report.case.get(key) is not None)
        for report in reports
    ]
    if len({emulated(report) for report in reports}) > 1:
        labels = [
            f"{label} emulated" if emulated(report) else label for label, report in zip(labels, reports, strict=True)
        ]
    changes = [{f"{change['key']}={change['value']}" for change in report.division.changed} for report in reports]
    common, often = set.intersection(*changes), Counter(labels)
    return [
        " ".join([label, *sorted(own - common - set(label.split()))]).strip() if often[label] > 1 else label
        for label, own in zip(labels, changes, strict=True)
    ]


def _say(key: str, value: Any) -> str:
    if key == "devices":
        return f"{value} device{'' if value == 1 else 's'}"
    return str(value) if key in _BARE else f"{key}={value}"


def _head(made: Page, reports: list[Report], differing: dict[str, dict[str, Path]]) -> None:
    shared = [
        _say(key, reports[0].case[key])
        for key in _LABELLED
        if reports[0].case.get(key) and len({str(report.case.get(key)) for report in reports}) == 1
    ]
    made.note(f"{len(reports)} runs: {' · '.join(shared)}", "title")
    found = [marks(report) for report in reports]
    for mark in dict.fromkeys(mark for one in found for mark in one):
        everyone = all(mark in one for one in found)
        made.note(mark if everyone else f"Some of these runs: {mark}", "mark")
    if differing:
        made.note(f"NOT RANKED: these runs differ in {', '.join(differing)} and must not be compared.", "mark")
    elif emulated(reports[0]):
        made.note("NOT RANKED: emulated runs are never compared.", "mark")


def _grid(columns: list[Column], names: list[str], *, ranked: bool) -> Grid:
    header = ["Figure", "Unit", *(column.label for column in columns)] + (["Difference"] if ranked else [])
    rows = [_row(columns, name, ranked=ranked) for name in names]
    family = [name.split("/")[0] for name in names]
    return Grid(
        header=header,
        rows=rows,
        right=frozenset(range(2, 2 + len(columns))),
        groups=frozenset(index for index in range(len(names) - 1) if family[index] != family[index + 1]),
        sticky=3,
        tail=1 if ranked else 0,
    )


def _row(columns: list[Column], name: str, *, ranked: bool) -> list[str]:
    figures = [column.report.figures.get(name) for column in columns]
    owner = next(column.report for column in columns if name in column.report.figures)
    meaning = known(name, owner)
    largest = max((abs(figure.value) for figure in figures if figure and figure.value is not None), default=None)
    best = best_of(columns, name, meaning) if ranked else set()
    cells, unit = [], ""
    for index, figure in enumerate(figures):
        if figure is None or figure.value is None:
            cells.append(NULL)
            continue
        text, unit = written(figure.value, figure.unit, meaning.form, like=largest)
        weighs = columns[0].may_be_best and columns[index].may_be_best
        times = ratio(figures[0], figure, meaning, weighs=weighs) if ranked and index else ""
        cells.append(" ".join(part for part in (text, times, BEST if index in best else "") if part))
    return [meaning.title, unit, *cells] + ([verdict(columns, figures, meaning)] if ranked else [])


def _legend(made: Page, columns: list[Column]) -> None:
    if not all(column.may_be_best for column in columns):
        made.note(f"{UNRANKED} says nothing: one of the two runs is not ranked, for the reason below.")
    made.note(
        f"{BEST} best. (1.20x) = times the value of run 1. Difference to run 1: not significant = the 95 % intervals "
        "overlap; no interval = measured once (measure.repeats=1), so chance is not ruled out."
    )


def _status(made: Page, columns: list[Column]) -> None:
    """What is to be known about single runs."""
    for column in columns:
        said = _told_of(column)
        if said:
            made.note(f"{column.label}: {'; '.join(said)}", "warning")


def _told_of(column: Column) -> list[str]:
    """What is to be known about one run."""
    report = column.report
    said = []
    if report.status != "done":
        cause = f", {report.error['class']}: {report.error['message']}" if report.error else ""
        said.append(f"{report.status} (exit {report.exit_code}{cause})")
    if report.division.name == "open":
        keys = ", ".join(sorted(key for key, _ in rule_changes(report)))
        outside = "; not ranked with the others" if column.outside == "open division" else ""
        said.append(f"open division: {keys} changed{outside}")
    if value_of(report, "run/steady") == 0:
        said.append("the speed was not steady when measuring began")
    if column.outside not in (None, "not ranked", "open division", report.status):
        said.append(str(column.outside))
    return said


def _missing(made: Page, columns: list[Column], names: list[str]) -> None:
    """The reasons behind every `-`, each once, with the runs it holds for."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for column in columns:
        reasons: dict[str, list[str]] = {}
        for name in names:
            figure = column.report.figures.get(name)
            if figure is None:
                reasons.setdefault("not in this report", []).append(name)
            elif figure.reason is not None:
                reasons.setdefault(first_line(figure.reason), []).append(name)
        for reason, missing in reasons.items():
            found.setdefault((reason, tuple(missing)), []).append(column.label)
    for (reason, missing_names), labels in found.items():
        who = "all runs" if len(labels) == len(columns) else ", ".join(labels)
        few = len(missing_names) <= _NAMED
        what = f"no {', '.join(missing_names)}" if few else f"{len(missing_names)} figures are missing"
        made.note(f"{who}: {what}: {reason}", "item")

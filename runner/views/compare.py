"""Several results side by side: who is best at what, by how much, and whether the difference means anything."""

from __future__ import annotations

from collections.abc import Sequence

from runner.comparison.compared import Compared, Comparison, compare
from runner.comparison.goodness import unkept
from runner.comparison.labels import LABELLED, say
from runner.comparison.likeness import Differing, differing_fields
from runner.comparison.result import RunResult, emulated
from runner.messages import tr, tr_recorded
from runner.record.names import LAST, written
from runner.record.report import Report
from runner.record.values import known as value_known
from runner.results.host import OTHERS, isolated
from runner.results.publication.rules import reasons
from runner.views.missing import add_missing
from runner.views.page import BEST, NULL, UNRANKED, Grid, Page
from runner.views.ranking import Column, best_of, ratio, rule_changes, value_of, verdict
from runner.views.tables import marks, measures, on_first_screen, order, publishable

MANY = 40
"""More runs than this are shown as rows."""
_WIDE = 4
"""Figures of each, then."""
_REASONS = 3
"""Reasons that are told of each run that is not publishable; its own page has them all."""
NOT_RANKED, OPEN = "not ranked", "open division"
"""Of a column that is not ranked, why; in words `_told_of` has them."""
_SAID_BY_MARKS = frozenset({"run/emulated", "run/publishable"})


def page(runs: Sequence[RunResult]) -> Page:
    """Figures as rows, runs as columns. Runs that must not be compared are not ranked, and that is said."""
    assert runs
    comparison = compare(runs)
    ranked = not differing_fields(runs) and not emulated(runs[0].report)
    made = Page()
    _head(made, comparison.reports, differing_fields(runs))
    add_table(made, comparison, ranked=ranked, strict=True)
    return made


def add_table(made: Page, comparison: Comparison, *, ranked: bool, strict: bool) -> None:
    """Add the figures of all runs, what is to be known of single ones, and where they lie.

    Args:
        made: the page.
        comparison: the runs.
        ranked: whether one may be called best.
        strict: rank only what may be published, on an undisturbed host.
    """
    reports = comparison.reports
    columns = _columns(comparison, ranked=ranked, strict=strict)
    names = sorted((name for name in comparison.figures if _shown(name, reports)), key=order)
    if len(reports) > MANY:
        _many(made, comparison, columns, names, ranked=ranked)
        return
    made.blocks.append(_grid(comparison, columns, names, ranked=ranked))
    if ranked:
        _legend(made, columns)
    _status(made, columns)
    add_missing(made, columns, names)
    made.note(tr("Runs"), "heading")
    for column, run in zip(columns, comparison.runs, strict=True):
        made.note(f"{column.label}: {run.folder}", "item")


def _many(made: Page, comparison: Comparison, columns: list[Column], names: list[str], *, ranked: bool) -> None:
    """Runs as rows, the first screen's figures as columns: more runs than anybody reads side by side."""
    headline = known_headline(columns, names)[:_WIDE]
    figures = [_row(columns, comparison.figures[name], ranked=ranked, wide=True) for name in headline]
    titles = [" ".join([title, f"({unit})" if unit else ""]).strip() for title, unit, *_ in figures]
    rows = []
    for index, column in enumerate(columns):
        note = "; ".join(_told_of(column))
        rows.append([column.label, *(figure[2 + index] for figure in figures), note])
    right = frozenset(range(1, 1 + len(headline)))
    made.blocks.append(Grid(header=[tr("Run"), *titles, tr("Note")], rows=rows, right=right))
    if ranked:
        _legend(made, columns)
    made.note(tr("Runs"), "heading")
    folders = [run.folder for run in comparison.runs]
    made.note("\n".join(f"{column.label}: {folder}" for column, folder in zip(columns, folders, strict=True)))
    made.note(tr("--format csv or json has all their figures."))


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
    tasks = {report.case.get("task"): report for report in reversed(reports)}.values()
    promised = any(on_first_screen(name, report) for report in tasks)
    return measured or (promised and not name.endswith(LAST) and name != "throughput/tokens_per_second")


def _columns(comparison: Comparison, *, ranked: bool, strict: bool) -> list[Column]:
    reports = comparison.reports
    rules = [rule_changes(report) for report in reports]
    same_rules = all(changes == rules[0] for changes in rules)
    outside = [_outside(report, same_rules=same_rules, strict=strict) if ranked else NOT_RANKED for report in reports]
    return [
        Column(label=label, report=report, outside=why)
        for label, report, why in zip(comparison.labels, reports, outside, strict=True)
    ]


def _outside(report: Report, *, same_rules: bool, strict: bool) -> str | None:
    """Why a run is not ranked with the others: what counts is only what may be published, on an undisturbed host."""
    if report.status != "done":
        return report.status
    if not strict:
        return "; ".join(unkept(report)) or None
    if not measures(report):
        return None  # counted, not measured
    if not publishable(report):
        said = "; ".join(tr_recorded(reason) for reason in reasons(report)[:_REASONS])
        return tr("not publishable ({reasons})", reasons=said)
    if isolated(value_known(value_of(report, OTHERS), "not measured")) is False:
        return tr("others disturbed its host")
    return None if same_rules or report.division.name == "closed" else OPEN


def _head(made: Page, reports: list[Report], differing: Differing) -> None:
    add_title(made, reports)
    if differing:
        fields = ", ".join(differing)
        made.note(tr("NOT RANKED: these runs differ in {fields} and must not be compared.", fields=fields), "mark")
    elif emulated(reports[0]):
        made.note(tr("NOT RANKED: emulated runs are never compared."), "mark")


def add_title(made: Page, reports: list[Report]) -> None:
    """Add what the runs have in common, and what a reader must know before any number."""
    shared = [
        say(key, reports[0].case[key])
        for key in LABELLED
        if reports[0].case.get(key) and len({str(report.case.get(key)) for report in reports}) == 1
    ]
    made.note(tr("{count} runs: {shared}", count=len(reports), shared=" · ".join(shared)), "title")
    found = [marks(report) for report in reports]
    for mark in dict.fromkeys(mark for one in found for mark in one):
        everyone = all(mark in one for one in found)
        made.note(mark if everyone else tr("Some of these runs: {mark}", mark=mark), "mark")


def _grid(comparison: Comparison, columns: list[Column], names: list[str], *, ranked: bool) -> Grid:
    header = [tr("Figure"), tr("Unit"), *(column.label for column in columns), *([tr("Difference")] if ranked else [])]
    rows = [_row(columns, comparison.figures[name], ranked=ranked) for name in names]
    family = [name.split("/")[0] for name in names]
    return Grid(
        header=header,
        rows=rows,
        right=frozenset(range(2, 2 + len(columns))),
        groups=frozenset(index for index in range(len(names) - 1) if family[index] != family[index + 1]),
        sticky=3,
        tail=1 if ranked else 0,
    )


def _row(columns: list[Column], compared: Compared, *, ranked: bool, wide: bool = False) -> list[str]:
    figures, meaning = compared.figures, compared.meaning
    values = [abs(one.value) for one in figures if one is not None and one.value is not None]
    best = best_of(columns, compared.name, meaning) if ranked else set()
    cells, unit = [], ""
    for index, figure in enumerate(figures):
        if figure is None or figure.value is None:
            cells.append(NULL)
            continue
        if figure.unit != compared.unit:
            cells.append(" ".join(written(figure.value, figure.unit, meaning.form)))
            continue
        text, unit = written(figure.value, figure.unit, meaning.form, like=max(values))
        weighs = columns[0].may_be_best and columns[index].may_be_best
        times = ratio(figures[0], figure, meaning, weighs=weighs) if ranked and index else ""
        cells.append(" ".join(part for part in (text, times, BEST if index in best else "") if part))
    return [tr(meaning.title), unit, *cells] + ([verdict(columns, compared)] if ranked and not wide else [])


def _legend(made: Page, columns: list[Column]) -> None:
    if not all(column.may_be_best for column in columns):
        made.note(tr("{mark} says nothing: one of the two runs is not ranked, for the reason below.", mark=UNRANKED))
    made.note(
        tr(
            "{best} best. (1.20x) = times the value of run 1. Difference to run 1: no difference shown = the 95 % "
            "interval of the ratio holds 1; no interval = measured once (measure.repeats=1), so chance is not ruled "
            "out.",
            best=BEST,
        )
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
        cause = f", {report.error['class']}: {tr_recorded(report.error['message'])}" if report.error else ""
        ended = tr_recorded(report.status)
        said.append(tr("{ended} (exit {code}{cause})", ended=ended, code=report.exit_code, cause=cause))
    if report.division.name == "open":
        keys = ", ".join(sorted(key for key, _ in rule_changes(report)))
        text = tr("open division: {keys} changed", keys=keys)
        said.append(tr("{text}; not ranked with the others", text=text) if column.outside == OPEN else text)
    if value_of(report, "run/steady") == 0:
        said.append(tr("the speed was not steady when measuring began"))
    if column.outside not in (None, NOT_RANKED, OPEN, report.status):
        said.append(str(column.outside))
    return said

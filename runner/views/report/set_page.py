"""The page of a set of runs: a row each, a picture, failures in one line; the detail of every run behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.comparison.answer import answer
from runner.comparison.compared import compare
from runner.comparison.likeness import unlike
from runner.messages import tr, tr_recorded
from runner.record.report import Report
from runner.results.ecosystem.adaptation import adaptation
from runner.results.index.summary import Summary
from runner.views import comparable
from runner.views.charts.parts.chart import Chart
from runner.views.comparable import RunResult
from runner.views.report import adaptation_table, dimensions, headline
from runner.views.report.document import document
from runner.views.report.markup import (
    Cell,
    Markup,
    badge,
    chart,
    charts,
    folded,
    html,
    items,
    joined,
    script_json,
    table,
    tag,
)
from runner.views.report.overview import further_keys, key_title, short_names, title_of
from runner.views.report.rows import RowGroup, RunRow, failures_line, failures_of, groups_of
from runner.views.report.side_by_side import of_group
from runner.views.tables import first_line

Draw = Callable[[Path, Report], list[Chart]]
Column = tuple[str, str, Callable[[RowGroup, RunRow], str]]
"""Head, classes, and what a run's cell says."""
MOST_IN_DETAIL = 40
"""Runs whose figures stand in the page; of more, the rows alone."""
MOST_CHART_BYTES = 6_000_000
"""Of the specifications of single runs' charts; later runs have none, and the page says so."""
MOST_ANSWERED = 6
"""Runs of a group of which it is said in words which is faster."""
SHOWN = 12
"""Rows of a group that are not folded away."""


def set_page(summaries: Sequence[Summary], runs: Sequence[RunResult], drawn: Sequence[Chart], draw: Draw) -> str:
    """A set as an HTML document.

    Args:
        summaries: of the runs.
        runs: the same runs with their reports.
        drawn: the set's charts, the most telling first.
        draw: makes the charts of one run; asked only for as many as the page has room for.
    """
    details = _details(runs, draw) if len(runs) <= MOST_IN_DETAIL else _too_many(len(runs))
    body = [_first_screen(summaries, runs, drawn), _sections(summaries, runs, drawn[1:]), details]
    return document(title_of(summaries), joined(body), charts=bool(drawn) or "data-chart=" in details)


def _answers(runs: Sequence[RunResult]) -> Markup:
    """Of each group of a few comparable runs, which is faster, by how much, and how sure that is."""
    found = [group for group in comparable.groups(runs) if 1 < len(group) <= MOST_ANSWERED]
    lines = [answer(compare(group))[0] for group in found if not unlike(group)]
    return joined(tag("p", line.text, kind="answer") for line in lines if line.kind == "answer")


def _first_screen(summaries: Sequence[Summary], runs: Sequence[RunResult], drawn: Sequence[Chart]) -> Markup:
    head = [tag("p", tr("Touchstone report of a set of runs"), kind="eyebrow"), tag("h1", title_of(summaries))]
    groups = groups_of(summaries)
    names = short_names([one.folder for one in summaries])
    marks = dict.fromkeys(group.mark for group in groups if group.mark and group.rows)
    everywhere = len(marks) == 1 and all(group.mark for group in groups if group.rows)
    banner = tag("div", next(iter(marks)), kind="banner warn") if everywhere else ""
    measured = [group for group in groups if group.rows]
    rows = _table(measured, names, marked=not everywhere) if measured else Markup()
    left = tag("div", rows or tag("p", tr("No run of these was measured to its end.")))
    picture = [tag("div", chart(drawn[0]))] if drawn else []
    first = tag("div", joined([left, *picture]), kind="first even")
    unpublished = bool(measured) and not _any_publishable(measured)
    told = (
        tag("p", tr("None of these runs is publishable; the page of each says why."), kind="dim") if unpublished else ""
    )
    return joined([tag("header", joined(head)), banner, _answers(runs), first, told, _failures(summaries, names)])


def _table(groups: Sequence[RowGroup], names: dict[Path, str], *, marked: bool) -> Markup:
    """One table over all groups, so that columns stand below each other; of a long group, the first rows."""
    columns: list[Column] = [
        (tr("Status"), "", lambda group, row: _status(row)),
        (tr("Vendor (chip)"), "", lambda group, row: row.where),
        (tr("Precision"), "", lambda group, row: row.precision),
        (tr("Further"), "", _further),
        (tr("Result"), "right strong", _result),
        (tr("95 % interval"), "right", lambda group, row: row.interval),
        (tr("Quality"), "", lambda group, row: row.quality),
        (tr("Publishable"), "", lambda group, row: row.publishable if _any_publishable(groups) else ""),
        (tr("Run"), "run", lambda group, row: tag("code", names[row.summary.folder])),
    ]
    # A column that says nothing of any run takes room from those that do.
    every = [(group, row) for group in groups for row in group.rows]
    kept = [column for column in columns if any(column[2](group, row).strip("-") for group, row in every)]
    header = [Cell(content=title, kind=kind) for title, kind, _ in kept]
    shown: list[Sequence[Cell] | Markup] = []
    folds = []
    for group in groups:
        cells = [[Cell(content=said(group, row)) for _, _, said in kept] for row in group.rows]
        shown += [_head(group, len(kept), marked=marked), *cells[:SHOWN]]
        if len(cells) > SHOWN:
            title = tr("{count} more runs of {case}", count=len(cells) - SHOWN, case=group.title)
            folds.append(folded(title, table(header, cells[SHOWN:])))
    return joined([table(header, shown), *folds])


def _head(group: RowGroup, columns: int, *, marked: bool) -> Markup:
    kind = "emulated" if group.rows[0].summary.emulated else "warn"
    marks = badge(group.word if marked or kind == "emulated" else "", kind)
    told = ", ".join(part for part in (group.figure_title, group.better) if part)
    content = joined([html(group.title), marks, tag("span", told, kind="told")], " ")
    return tag("tr", tag("th", content, colspan=str(columns)), kind="group")


def _further(group: RowGroup, row: RunRow) -> str:
    found = {key: row.summary.case.get(key) for key in further_keys(group)}
    return ", ".join(
        str(value) if key in ("compiler", "framework") else f"{key_title(key)} {value}"
        for key, value in found.items()
        if value is not None
    )


def _result(group: RowGroup, row: RunRow) -> str:
    return f"{row.value} {group.unit}" if row.number is not None and group.unit else row.value


def _any_publishable(groups: Sequence[RowGroup]) -> bool:
    return any(row.summary.publishable for group in groups for row in group.rows)


def _status(row: RunRow) -> Markup:
    kind = "good" if row.summary.status == "done" else "warn"
    return tag("span", row.status, kind=f"badge {kind}")


def _failures(summaries: Sequence[Summary], names: dict[Path, str]) -> Markup:
    line = failures_line(summaries)
    if not line:
        return Markup()
    told = []
    for one in failures_of(summaries):
        reason = first_line(tr_recorded(one.error_message or ""))
        told.append(" · ".join([names[one.folder], str(one.case.get("name") or ""), reason]))
    return tag("div", html(line) + folded(tr("Which, and why"), items(told)), kind="banner bad")


def _sections(summaries: Sequence[Summary], runs: Sequence[RunResult], drawn: Sequence[Chart]) -> Markup:
    parts = []
    few = len(runs) <= MOST_IN_DETAIL
    groups = [group for group in groups_of(summaries) if group.rows] if few else []
    names = short_names([one.folder for one in summaries])
    for one in dimensions.DIMENSIONS:
        figures = joined(of_group(one, group, names) for group in groups)
        found = joined([charts(dimensions.charts_of(one, drawn)), figures])
        content = joined([found, _adaptation(runs)]) if one is dimensions.ADAPTATION else found
        if content:
            parts.append(tag("section", tag("h2", dimensions.title_of(one)) + content, id=one.key))
    return joined(parts)


def _adaptation(runs: Sequence[RunResult]) -> Markup:
    """By vendor, and by engine where there are several."""
    pairs = [(run.folder, run.report) for run in runs]
    vendors, engines = adaptation(pairs), adaptation(pairs, by="compiler")
    told = tr(
        "Counted from the results: distinct cases, of which one ran when any of its attempts was measured to the end."
    )
    parts = [tag("p", told, kind="dim"), adaptation_table.of_set(vendors, tr("Vendor"))] if vendors else []
    parts += [adaptation_table.of_set(engines, tr("Engine"))] if len(engines) > 1 else []
    data = {"vendor": [one.to_dict() for one in vendors], "compiler": [one.to_dict() for one in engines]}
    return joined([*parts, tag("script", script_json(data), type="application/json", id="adaptation")])


def _details(runs: Sequence[RunResult], draw: Draw) -> Markup:
    parts, room = [], MOST_CHART_BYTES
    for run in runs:
        drawn = draw(run.folder, run.report) if room > 0 else []
        size = sum(len(json.dumps(one.spec)) for one in drawn)
        left_out = room <= 0 or size > room
        drawn = [] if left_out else drawn
        room -= size
        parts.append(_detail(run, drawn, left_out=left_out))
    return tag("section", tag("h2", tr("Each run")) + joined(parts), id="runs")


def _detail(run: RunResult, drawn: Sequence[Chart], *, left_out: bool) -> Markup:
    report = run.report
    own = tag("code", f"python -m runner.report {run.folder} --out run.html")
    parts = [headline.banners(report), headline.tiles(report) if report.figures else "", headline.care(report)]
    for one in dimensions.DIMENSIONS:
        content = joined([dimensions.pictures(dimensions.charts_of(one, drawn)), dimensions.figures_of(one, report)])
        parts.append(tag("h3", dimensions.title_of(one)) + content)
    why = tr("Its charts would make this page too large.") if left_out else tr("Its own page has the rest:")
    parts.append(tag("p", joined([html(why), own], " "), kind="small"))
    title = f"{headline.title_of(report)} · {run.folder.name}"
    return folded(title, joined(parts), kind="run", prints=False)


def _too_many(count: int) -> Markup:
    told = tr(
        "{count} runs are too many for one page. The page of one run: {command}",
        count=count,
        command="python -m runner.report FOLDER --out run.html",
    )
    return tag("section", tag("h2", tr("Each run")) + tag("p", told), id="runs")

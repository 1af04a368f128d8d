"""The page of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.messages import tr, tr_recorded
from runner.record.report import Report
from runner.results.ecosystem.adaptation import adaptation
from runner.results.publication.rules import reasons
from runner.views.charts.parts.chart import Chart
from runner.views.page import NULL
from runner.views.published import published_grid
from runner.views.report import adaptation_table, dimensions, headline
from runner.views.report.document import document
from runner.views.report.grids import from_grid
from runner.views.report.markup import Markup, chart, html, items, joined, tag
from runner.views.report.provenance import division, environment, provenance
from runner.views.tables import emulated, measures, publishable


def run_page(folder: Path, report: Report, drawn: Sequence[Chart]) -> str:
    """One run as an HTML document.

    Args:
        folder: the run's.
        report: its report.
        drawn: its charts, as `runner.views.charts.run.run_charts` makes them.
    """
    body = [_watermark(report), first_screen(folder, report, drawn), sections(folder, report, drawn)]
    return document(headline.title_of(report), joined(body), charts=bool(drawn))


def first_screen(folder: Path, report: Report, drawn: Sequence[Chart]) -> Markup:
    """What was run, the numbers, one picture, the warnings."""
    eyebrow = tag("p", tr("Touchstone report of one run") + f" · {folder.name}", kind="eyebrow")
    head = [eyebrow, tag("h1", headline.title_of(report)), tag("p", _state(report), kind="sub")]
    picture = [chart(drawn[0])] if drawn else []
    care = headline.care(report)
    first = tag("div", joined([*picture, care]), kind="first") if picture or care else ""
    return joined([tag("header", joined(head)), headline.banners(report), headline.tiles(report), first])


def sections(folder: Path, report: Report, drawn: Sequence[Chart]) -> Markup:
    """Everything behind the first screen."""
    parts = [_dimension(one, folder, report, list(drawn[1:])) for one in dimensions.DIMENSIONS]
    if report.published:
        orientation = tag("p", tr("For orientation: other hardware and software. Only like cases may be compared."))
        parts.append(_section("published", tr("Published by others"), orientation + from_grid(published_grid(report))))
    parts.append(_section("division", tr("Division and publication"), _rules(report) + division(report)))
    parts.append(_section("environment", tr("Environment"), environment(report)))
    parts.append(_section("provenance", tr("Provenance"), provenance(folder, report)))
    return joined(parts)


def _dimension(one: dimensions.Dimension, folder: Path, report: Report, drawn: list[Chart]) -> Markup:
    content = [dimensions.pictures(dimensions.charts_of(one, drawn))]
    counted = adaptation([(folder, report)]) if one is dimensions.ADAPTATION else []
    content += [adaptation_table.of_one(found, report) for found in counted]
    content += [] if counted and report.figures.keys().isdisjoint(one.figures) else [dimensions.figures_of(one, report)]
    return _section(one.key, dimensions.title_of(one), joined(content))


def _section(key: str, title: str, content: str) -> Markup:
    return tag("section", tag("h2", title) + html(content), id=key)


def _state(report: Report) -> Markup:
    if report.status == "done":
        state = tag("span", tr("done"), kind="badge good")
    else:
        state = tag("span", tr("killed") if report.status == "killed" else tr("failed"), kind="badge bad")
    marks = [tag("span", tr("emulated"), kind="badge emulated")] if emulated(report) else []
    if measures(report) and report.status == "done" and not emulated(report):
        allowed = publishable(report)
        text = tr("publishable") if allowed else tr("not publishable")
        marks.append(tag("span", text, kind=f"badge {'good' if allowed else 'warn'}"))
    name = tr("division {name}", name=tr(report.division.name) if report.division.name else NULL)
    marks.append(tag("span", name, kind="badge"))
    return joined([state, *marks, html(headline.circumstances(report))], " ")


def _rules(report: Report) -> Markup:
    if not measures(report):
        return tag("p", tr("This task measures nothing: there is nothing to publish."))
    if publishable(report):
        return tag("p", tr("Every rule of publication is kept."))
    why = [tr_recorded(reason) for reason in reasons(report)]
    warned = [tr_recorded(warning) for warning in report.warnings]
    said = joined([tag("p", tr("Not publishable, because:")), items(why)])
    return joined([said, *([tag("p", tr("All warnings:")), items(warned)] if warned else [])])


def _watermark(report: Report) -> Markup:
    return (
        tag("div", tag("span", tr("EMULATED")), kind="watermark", aria_hidden="true") if emulated(report) else Markup()
    )

"""Ecosystem adaptation as tables of the page."""

from __future__ import annotations

from collections.abc import Sequence

from runner.messages import tr, tr_recorded
from runner.record.names import number, written
from runner.record.report import Report
from runner.results.ecosystem.adaptation import Adaptation, Extent
from runner.views.report.markup import Cell, Markup, folded, items, joined, pairs, table, tag


def of_set(found: Sequence[Adaptation], head: str) -> Markup:
    """A row for each vendor or engine, details behind.

    Args:
        found: counted.
        head: what the rows are: vendors, or engines.
    """
    header = [Cell(content=head), Cell(content=tr("Cases that ran ÷ asked"), kind="right")]
    titles = [tr("Refused precisions"), tr("Refused operators"), tr("Changed keys"), tr("Coverage"), tr("Fallbacks")]
    header += [Cell(content=title) for title in (*titles, tr("Compilation"))]
    return joined([table(header, [_row(one) for one in found]), *(_details(one) for one in found)])


def of_one(one: Adaptation, report: Report) -> Markup:
    """What one run tells."""
    case = report.case
    changed = len(report.division.changed)
    refused = next((each.reason for each in one.precisions if each.reason), None)
    rows = [
        (tr("The case ran"), tr("yes") if one.ran else tr("no: {reason}", reason=_why(one))),
        (tr("Framework and engine"), " · ".join(str(case[key]) for key in ("framework", "compiler") if case.get(key))),
        (tr("Precision"), tr("{name}, refused", name=case.get("precision")) if refused else str(case.get("precision"))),
        (tr("Keys changed against the reference"), str(changed) if changed else tr("none")),
        (tr("Coverage of the graph"), _coverage(one.coverage)),
        (tr("Fallbacks"), _fallbacks(one)),
        (tr("Compilation"), _compile(one.compile)),
    ]
    fallen = [f"{name}: {tr_recorded(reason)}" for name, reason in one.fallbacks.items()]
    return joined([pairs(rows), *([tag("h3", tr("Operators that fell back")), items(fallen)] if fallen else [])])


def _why(one: Adaptation) -> str:
    return tr_recorded(one.endings[0].reason) if one.endings else ""


def _row(one: Adaptation) -> list[Cell]:
    name = tr("{name} (emulated)", name=one.name) if one.emulated else one.name
    refused = [precision.precision for precision in one.precisions if precision.refused]
    share = f"{one.ran} / {one.asked} ({written(one.share, '1', 'percent')[0]} %)"
    return [
        Cell(content=name, kind="strong"),
        Cell(content=share),
        Cell(content=", ".join(refused) or tr("none")),
        Cell(content=", ".join(one.operators_refused) or tr("none")),
        Cell(content=str(len(one.changed)) if one.changed else tr("none")),
        Cell(content=_coverage(one.coverage)),
        Cell(content=_fallbacks(one)),
        Cell(content=_compile(one.compile)),
    ]


def _fallbacks(one: Adaptation) -> str:
    if one.coverage.reason is not None:
        return tr("unknown")
    return str(len(one.fallbacks)) if one.fallbacks else tr("none")


def _coverage(spread: Extent) -> str:
    if spread.lowest is None or spread.highest is None:
        return tr("unknown: {reason}", reason=tr_recorded(spread.reason or ""))
    low, high = (written(value, "1", "percent")[0] for value in (spread.lowest, spread.highest))
    if low == high:
        return tr("{percent} %, {cases} cases", percent=low, cases=spread.cases)
    return tr("{low} to {high} %, {cases} cases", low=low, high=high, cases=spread.cases)


def _compile(spread: Extent) -> str:
    if spread.total is None or spread.highest is None:
        return tr("unknown: {reason}", reason=tr_recorded(spread.reason or ""))
    told = {"total": number(spread.total, 3), "longest": number(spread.highest, 3), "cases": spread.cases}
    return tr("{total} s in {cases} cases, the longest {longest} s", **told)


def _details(one: Adaptation) -> Markup:
    parts = []
    if one.endings:
        told = [
            tr(
                "{count} x {ending} (exit {code}): {reason}",
                count=ending.cases,
                ending=tr(ending.ending),
                code=ending.exit_code,
                reason=tr_recorded(ending.reason),
            )
            for ending in one.endings
        ]
        parts += [tag("h3", tr("Cases that did not run")), items(told)]
    if one.quality_missed:
        parts.append(tag("p", tr("{count} of the cases that ran missed their quality.", count=one.quality_missed)))
    refused = [f"{each.precision}: {tr_recorded(each.reason)}" for each in one.precisions if each.reason]
    parts += [tag("h3", tr("Refused precisions")), items(refused)] if refused else []
    words = [f"{name}: {reason}" for name, reason in one.operators_refused.items()]
    parts += [tag("h3", tr("Refused operators")), items(words)] if words else []
    keys = [
        tr("{key}: in {count} cases", key=change.key, count=change.cases)
        + ("" if change.allowed else " " + tr("(open division)"))
        for change in one.changed
    ]
    parts += [tag("h3", tr("Keys changed against the reference")), items(keys)] if keys else []
    fallen = [f"{name}: {tr_recorded(reason)}" for name, reason in one.fallbacks.items()]
    parts += [tag("h3", tr("Operators that fell back")), items(fallen)] if fallen else []
    return folded(tr("{name}: reasons and keys", name=one.name), joined(parts)) if parts else Markup()

"""An acceptance for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from runner.acceptance.judge import Acceptance, PartVerdict
from runner.acceptance.readings import NO_ECC
from runner.messages import tr, tr_recorded
from runner.record.names import number
from runner.views.page import NULL, Grid, Page


def page(made: Acceptance) -> Page:
    """The verdict, who fails it and why, then every device with its rank and figures."""
    shown = Page()
    devices = [one for one in made.verdicts if one.subject.kind == "device"]
    failed = [one for one in made.verdicts if not one.accepted]
    if made.accepted:
        shown.note(tr("ACCEPTED: {count} devices", count=len(devices)), "good")
    else:
        names = ", ".join(one.subject.name for one in failed) or tr("nothing was measured")
        shown.note(tr("NOT ACCEPTED: {names}", names=names), "error")
    for one in made.verdicts:
        for finding in one.findings:
            text = f"{one.subject.name}: {tr(finding.kind)}: {tr_recorded(finding.text)}"
            shown.note(text, "error" if finding.fails else "warning")
    for kind in ("device", "node", "link"):
        grid = _grid([one for one in made.verdicts if one.subject.kind == kind], kind)
        if grid is not None:
            shown.note({"device": tr("Devices"), "node": tr("Nodes"), "link": tr("Links")}[kind], "heading")
            shown.blocks.append(grid)
    if made.not_judged:
        shown.note(tr("Not judged"), "heading")
    for text in made.not_judged:
        shown.note(tr_recorded(text), "item")
    shown.note(tr("Error counters of memory (ECC): {reason}.", reason=tr_recorded(NO_ECC)))
    shown.note(tr("What decides, and from where on: docs/suites.md."))
    return shown


def as_values(made: Acceptance) -> dict[str, Any]:
    """Everything, for `result.json`."""
    verdicts = [asdict(one) | {"accepted": one.accepted} for one in made.verdicts]
    return {
        "schema_version": 1,
        "accepted": made.accepted,
        "limits": asdict(made.limits),
        "not_judged": made.not_judged,
        "ecc": None,
        "ecc_reason": NO_ECC,
        "verdicts": verdicts,
    }


def _grid(verdicts: list[PartVerdict], kind: str) -> Grid | None:
    if not verdicts:
        return None
    units = {figure.name: figure.unit for one in verdicts for figure in one.figures}
    header = [tr("Rank"), tr("Name"), tr("Verdict"), tr("Rounds")]
    header += [f"{name.partition('/')[2]} ({unit})" for name, unit in units.items()]
    header += [tr("Hottest (°C)")] if kind == "device" else []
    rows = [_row(one, list(units), kind) for one in sorted(verdicts, key=lambda one: one.rank or len(verdicts) + 1)]
    return Grid(header=header, rows=rows, right=frozenset({0, *range(3, len(header))}), sticky=3)


def _row(one: PartVerdict, names: list[str], kind: str) -> list[str]:
    figures = {figure.name: figure for figure in one.figures}
    cells = []
    for name in names:
        figure = figures.get(name)
        if figure is None:
            cells.append(NULL)
            continue
        beside = [f"{figure.deviation:+.1%}"] if figure.deviation is not None else []
        beside += [tr("{share} of the sheet", share=f"{figure.fraction:.0%}")] if figure.fraction is not None else []
        cells.append(number(figure.value) + (f" ({', '.join(beside)})" if beside else ""))
    rank = NULL if one.rank is None else str(one.rank)
    verdict = tr("accepted") if one.accepted else tr("NOT accepted")
    hot = one.subject.temperature_max_c
    heat = [NULL if hot is None else number(hot)] if kind == "device" else []
    return [rank, one.subject.name, verdict, str(one.subject.rounds), *cells, *heat]

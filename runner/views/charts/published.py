"""Published results beside the measured one: the same figure in the same unit, each with its chip and precision."""

from __future__ import annotations

from typing import Any

from runner.messages import tr
from runner.record.names import written
from runner.record.report import Report
from runner.views.charts.parts.bars import bars
from runner.views.charts.parts.chart import BLUE, GREY, ORANGE, VERMILION, Chart, Row
from runner.views.charts.parts.layers import Key
from runner.views.meanings import known
from runner.views.published import nearest
from runner.views.tables import emulated

PER_SECOND = "/s"
PER_DEVICE = "_per_device"


def published(report: Report) -> Chart | None:
    """The nearest published results of one figure that was measured, and the measured one; null without both.

    Rates of whole jobs and of single devices stand side by side as rates of a device each. What was emulated is
    compared with nothing.
    """
    found = [item for item in nearest(report) if isinstance(item.get("value"), int | float)]
    name = next((str(item["figure"]) for item in found if _measured(report, str(item.get("figure"))) is not None), None)
    if name is None or emulated(report) or report.status != "done":
        return None
    meaning = known(name, report)
    unit = meaning.unit.format(unit=report.case.get("unit", "samples"))
    divided = unit.endswith(PER_SECOND) and not name.endswith(PER_DEVICE)
    same = [item for item in found if item["figure"] == name and (divided or item.get("per") != "device")]
    if not same:
        return None
    ours, theirs = tr("measured here"), tr("published, same precision")
    other = tr("published, another precision")
    devices, value = float(report.case.get("devices") or 1), _measured(report, name)
    assert value is not None
    factor = 1 / devices if divided else 1.0
    interval = report.figures[name].interval
    rows: list[Row] = [
        _row(report.case, value * factor, unit, meaning.form, tr("measured here"))
        | {"series": ours}
        | ({"low": interval[0] * factor, "high": interval[1] * factor} if interval else {})
    ]
    for item in same:
        count = 1.0 if item.get("per") == "device" or not divided else float(item.get("devices") or 1)
        alike = item.get("precision") == report.case.get("precision")
        row = _row(item, item["value"] / count, unit, meaning.form, str(item.get("source", "")))
        rows.append(row | {"series": theirs if alike else other})
    whiskers = tr("95 % interval over repeats")
    colors = {ours: ORANGE, theirs: BLUE, other: GREY} | ({whiskers: VERMILION} if interval else {})
    shown = {name for row in rows for name in (row["series"], whiskers)}
    key = Key({name: color for name, color in colors.items() if name in shown})
    title = tr("Published results beside the measured one")
    x_title = _x_title(tr(meaning.title), unit, divided=divided)
    rows.sort(key=lambda row: row["value"], reverse=meaning.better != "lower")
    return bars("published", title, rows, key, x_title, interval=whiskers, note=_note(divided))


def _row(about: dict[str, Any], value: float, unit: str, form: Any, source: str) -> Row:
    said = " ".join(part for part in written(value, unit, form) if part)
    what = f"{about.get('devices') or '?'} x {about.get('chip') or '?'}, {about.get('precision') or '?'}"
    return {"label": f"{said} · {what} · {source}", "value": value}


def _x_title(title: str, unit: str, *, divided: bool) -> str:
    if divided:
        return tr("{title} ({unit} per device)", title=title, unit=unit)
    return f"{title} ({unit})" if unit != "1" else tr("{title} (no unit)", title=title)


def _note(divided: bool) -> str:
    text = tr("Published results are for orientation: other software, batch sizes and rules.")
    return f"{text} {tr('A whole job is divided by its devices.')}" if divided else text


def _measured(report: Report, name: str) -> float | None:
    figure = report.figures.get(name)
    return None if figure is None else figure.value

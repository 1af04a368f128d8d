"""One figure against another: speed against energy by vendor, quality beside speed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from runner.messages import tr
from runner.record.names import LAST, is_accuracy, is_quality
from runner.record.report import Report
from runner.views.charts.groups import ChartGroup, value
from runner.views.charts.parts.chart import PALETTE, Chart, Row, data, finished
from runner.views.charts.parts.labels import names_of_points
from runner.views.charts.parts.layers import Key, shortened, x_axis, y_axis

ENERGY = "energy/per_sample_j"
MOST_LABELS = 10
"""Points that have their names beside them; of more, the page tells them under the pointer."""


def speed_against_energy(group: ChartGroup) -> Chart | None:
    """The group's speed by measured joules per sample, a colour for each vendor; null with fewer than two runs."""
    rows = [
        _row(group, run, report.case.get("vendor"), joules)
        for run in group.runs
        if (joules := value(report := run.report, ENERGY)) is not None and not group.emulated
    ]
    if len(rows) < 2:  # noqa: PLR2004 - a point alone is no comparison
        return None
    title = tr("Speed against energy: {case}", case=group.title)
    note = tr("Energy of the devices in the measured window; runs without measured energy are not here.")
    x_title = tr("energy per sample (J/sample), lower is better")
    return _points(f"energy_{group.name}", title, rows, x_title, group.axis_title(), note=note, zero=True)


def quality_beside_speed(group: ChartGroup) -> Chart | None:
    """Quality by the group's speed; null with fewer than two runs that have both."""
    metric = next((name for run in group.runs if (name := _metric(run.report))), None)
    if metric is None:
        return None
    rows = [
        _row(group, run, run.report.case.get("precision"), quality)
        for run in group.runs
        if (quality := value(run.report, metric)) is not None and not group.emulated
    ]
    if len(rows) < 2:  # noqa: PLR2004 - a point alone is no comparison
        return None
    # Speed lies along the page here, for quality is what is read off.
    turned = [row | {"x": row["speed"], "speed": row["x"]} for row in rows]
    title = tr("Quality beside speed: {case}", case=group.title)
    y_title = tr("{metric} (ratio or score, no unit)", metric=metric.partition("/")[2])
    return _points(f"quality_{group.name}", title, turned, group.axis_title(), y_title, note="", zero=False)


def _metric(report: Report) -> str | None:
    """The first quality that a report measured: of its task's evaluation, or of a served model."""
    found = (name for name, figure in report.figures.items() if figure.value is not None)
    return next((name for name in found if (is_quality(name) and not name.endswith(LAST)) or is_accuracy(name)), None)


def _row(group: ChartGroup, run: Any, kind: object, x: float) -> Row:
    series = str(kind or "?")
    if run.report.imported:
        series = tr("{name}, imported", name=series)
    return {"x": x, "speed": group.figure(run).value, "series": series, "label": group.labels[id(run)]}


def _points(name: str, title: str, rows: Sequence[Row], x_title: str, y_title: str, *, note: str, zero: bool) -> Chart:
    import altair

    key = Key(dict(zip(sorted({row["series"] for row in rows}), cycle(PALETTE), strict=False)))
    x = x_axis(x_title, scale=altair.Scale(zero=True, nice=True))
    y = y_axis("speed", y_title, zero=zero)
    said = [
        altair.Tooltip("label:N", title=" "),
        altair.Tooltip("x:Q", title=x_title, format=",.5~g"),
        altair.Tooltip("speed:Q", title=y_title, format=",.5~g"),
    ]
    base = altair.Chart(data(list(rows))).encode(x=x, y=y, tooltip=said)
    layers = [base.mark_point(filled=True, size=90, opacity=0.9).encode(color=key.color(), shape=key.shape())]
    if len(rows) <= MOST_LABELS:
        named = [row | {"text": shortened(row["label"], 40)} for row in rows]
        right, low, high = max(row["x"] for row in rows), *_ends([row["speed"] for row in rows], zero=zero)

        def place(row: Row) -> tuple[float, float]:
            return row["x"] / right, (high - row["speed"]) / (high - low)

        layers += names_of_points(named, place, x, y)
    return finished(name, title, layers, note=note)


def _ends(values: Sequence[float], *, zero: bool) -> tuple[float, float]:
    """About where an axis of these begins and ends."""
    low, high = (0.0 if zero else min(values)), max(values)
    return low, high if high > low else low + 1.0

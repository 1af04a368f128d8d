"""Horizontal bars whose labels stand over them, so that a long one is legible on a phone and none is clipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.views.charts.parts.chart import Chart, Row, data, finished
from runner.views.charts.parts.layers import Key, wrapped

ROW_PIXELS = 40
"""Height of a bar with its label."""


def bars(
    name: str,
    title: str,
    rows: Sequence[Row],
    key: Key,
    x_title: str,
    *,
    note: str = "",
    hollow: bool = False,
    interval: str = "",
) -> Chart:
    """A chart of bars from zero, the first row on top.

    Args:
        name: of the chart.
        title: of the chart.
        rows: of `label`, `value` and `series`; `low` and `high` where it has an interval.
        key: the legend.
        x_title: what the bars measure, with its unit.
        note: of the chart.
        hollow: whether the bars are outlines only: of what must not be taken for a measurement.
        interval: what the whiskers are called in the legend; without a name there are none.
    """
    import altair

    placed = [row | {"place": str(place)} for place, row in enumerate(rows)]
    # The places are one band each: two runs may well have the same label.
    y = altair.Y("place:N", title=None, sort=[row["place"] for row in placed], axis=None)
    x = altair.X(
        "value:Q", title=wrapped(x_title), scale=altair.Scale(zero=True, nice=True), axis=altair.Axis(tickCount=6)
    )
    said = [altair.Tooltip("label:N", title=" "), altair.Tooltip("value:Q", title=x_title, format=",.6~g")]
    base = altair.Chart(data(placed))
    look: dict[str, Any] = {"size": 14, "yOffset": 9, "cornerRadiusEnd": 2}
    if hollow:
        bar = base.mark_bar(**look, fillOpacity=0.12, strokeWidth=1.5, strokeDash=[4, 3])
        bar = bar.encode(x=x, y=y, color=key.color(), stroke=altair.Stroke("series:N", scale=key.scale(), legend=None))
    else:
        bar = base.mark_bar(**look).encode(x=x, y=y, color=key.color())
    text = base.mark_text(align="left", baseline="middle", dy=-8, limit=altair.ExprRef("width"))
    layers = [bar.encode(tooltip=said), text.encode(x=altair.value(0), y=y, text="label:N", tooltip=said)]
    spread = [row | {"series": interval} for row in placed if row.get("low") is not None]
    if interval and spread:
        layers += _whiskers(spread, key, y)
    return finished(name, title, layers, note=note, height=ROW_PIXELS * len(placed))


def _whiskers(rows: list[Row], key: Key, y: Any) -> list[Any]:
    import altair

    base = altair.Chart(data(rows))
    across = base.mark_rule(strokeWidth=2, yOffset=9, y2Offset=9).encode(x="low:Q", x2="high:Q", y=y, color=key.color())
    ends = [
        base.mark_tick(thickness=2, size=12, yOffset=9).encode(x=f"{field}:Q", y=y, color=key.color())
        for field in ("low", "high")
    ]
    return [across, *ends]

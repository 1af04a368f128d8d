"""Charts read back as data: the rows that are drawn, the legend, the titles of the axes."""

from __future__ import annotations

import json
from typing import Any

import altair
import vl_convert

from runner.views.charts.parts.chart import Chart, Row, pictured


def rows_of(chart: Chart) -> list[Row]:
    """All rows of all layers, those that several layers share once."""
    found: list[Row] = []
    for one in (chart.spec, *chart.spec["layer"]):
        for row in one.get("data", {}).get("values", []):
            if row and row not in found:
                found.append(row)
    return found


def series(chart: Chart, name: str) -> list[Row]:
    """The rows of one entry of the legend."""
    return [row for row in rows_of(chart) if row.get("series") == name]


def legend(chart: Chart) -> dict[str, str]:
    """Name to colour, in order; all layers must agree."""
    scales = [layer["encoding"]["color"]["scale"] for layer in chart.spec["layer"] if "scale" in _color(layer)]
    assert scales and all(scale == scales[0] for scale in scales)
    return dict(zip(scales[0]["domain"], scales[0]["range"], strict=True))


def axis_titles(chart: Chart) -> tuple[str | None, str | None]:
    """Of x and y."""
    found: dict[str, str | None] = {"x": None, "y": None}
    for layer in chart.spec["layer"]:
        for axis in ("x", "y"):
            title = layer.get("encoding", {}).get(axis, {}).get("title")
            found[axis] = found[axis] or (" ".join(title) if isinstance(title, list) else title)
    return found["x"], found["y"]


def texts(chart: Chart) -> list[str]:
    """What is written beside points."""
    return [
        row["text"]
        for layer in chart.spec["layer"]
        if layer["mark"]["type"] == "text"
        for row in layer.get("data", {}).get("values", [])
        if "text" in row
    ]


def require_drawable(chart: Chart) -> str:
    """The chart as SVG; fails where Vega-Lite's schema or its compiler does not take the specification."""
    altair.LayerChart.from_dict(chart.spec, validate=True)
    spec = json.dumps(pictured(chart, emulated=False), allow_nan=False)
    return str(vl_convert.vegalite_to_svg(spec))


def _color(layer: dict[str, Any]) -> dict[str, Any]:
    return dict(layer.get("encoding", {}).get("color", {}))

"""A chart, and the look that all have: colours that colour-blind readers tell apart, units on every axis."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair

BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
SKY, YELLOW, GREY = "#56b4e9", "#f0e442", "#8a8f98"
PALETTE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY)
"""Okabe and Ito's, "Color Universal Design" (2008), without black and yellow, which vanish on dark or light paper."""
WIDTH, HEIGHT = 640, 300
MOST_POINTS = 2000
"""Points of one series; longer ones are thinned before they are drawn."""
Row = dict[str, Any]
"""A point of a chart: plain values by field name."""


@dataclass(kw_only=True, slots=True)
class Chart:
    """A chart that is ready to be shown or saved."""

    name: str
    """File stem, and the anchor on the page."""
    title: str
    """What people read over it, in their language."""
    spec: dict[str, Any]
    """Vega-Lite, data included; without size and theme, which the page or the picture adds."""
    note: str = ""
    """A sentence below it: what a reader must know to read it right."""


def data(rows: list[Row]) -> altair.Data:
    """Rows as a chart's own data; altair's limit of rows is for data frames and does not apply."""
    import altair

    return altair.Data(values=rows)


def finished(name: str, title: str, drawn: Any, *, note: str = "") -> Chart:
    """A chart of what altair drew."""
    return Chart(name=name, title=title, spec=drawn.to_dict(), note=note)


def thinned(rows: list[Row], most: int = MOST_POINTS) -> list[Row]:
    """At most `most` of the rows, evenly spaced, the last one among them."""
    if len(rows) <= most:
        return rows
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


def save(chart: Chart, folder: Path, *, emulated: bool) -> list[Path]:
    """Write `<name>.png` and `<name>.svg`; what was emulated says so across the picture."""
    import vl_convert

    spec = json.dumps(pictured(chart, emulated=emulated))
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{chart.name}.png", folder / f"{chart.name}.svg"
    png.write_bytes(vl_convert.vegalite_to_png(spec, scale=2.0))
    svg.write_text(vl_convert.vegalite_to_svg(spec))
    return [png, svg]


def pictured(chart: Chart, *, emulated: bool) -> dict[str, Any]:
    """The specification of a picture on its own: with title, size and the light theme."""
    title: dict[str, Any] = {"text": chart.title, "anchor": "start", "fontSize": 14}
    if emulated:
        title |= {"subtitle": "EMULATED", "subtitleColor": VERMILION, "subtitleFontWeight": "bold"}
    return {"width": WIDTH, "height": HEIGHT} | chart.spec | {"title": title, "config": CONFIG, "background": "white"}


CONFIG: dict[str, Any] = {
    "font": "system-ui, 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif",
    "view": {"stroke": None},
    "axis": {"gridColor": "#e3e5e8", "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "labelLimit": 400},
    "range": {"category": list(PALETTE)},
}
"""The theme of pictures; a page adds its own for light and dark."""

"""A chart, and the look that all have: colours that colour-blind readers tell apart, units on every axis."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.messages import tr

if TYPE_CHECKING:
    import altair

BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
SKY, GREY = "#56b4e9", "#8a8f98"
PALETTE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY)
"""Okabe and Ito's, "Color Universal Design" (2008), without black and yellow, which vanish on dark or light paper."""
WIDTH, HEIGHT = 640, 300
SCALE = 2.0
"""Pixels of a saved PNG for each of the chart's."""
NOTE_COLUMNS, NOTE_LINES = 100, 4
"""Of a note below the title of a picture, in columns of Latin letters."""
CJK = 0x2E80
"""Letters from here on are two columns wide."""
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
    """Vega-Lite, data included, always one view of layers, so that `width: "container"` works; without a width and a
    theme, which the page or the picture adds. It has a height where its rows ask for one."""
    note: str = ""
    """A sentence below it: what a reader must know to read it right."""


def data(rows: list[Row]) -> altair.Data:
    """Rows as a chart's own data; altair's limit of rows is for data frames and does not apply."""
    import altair

    return altair.Data(values=rows)


def finished(name: str, title: str, layers: list[Any], *, note: str = "", height: int | None = None) -> Chart:
    """A chart of layers that altair drew, the lowest first.

    Args:
        name: of the chart.
        title: of the chart.
        layers: altair's charts of one view each.
        note: of the chart.
        height: in pixels, where the number of rows decides it.
    """
    import altair

    # Not validated against Vega-Lite's schema, which takes longer than all the rest; the tests do that.
    spec = altair.layer(*layers).to_dict(validate=False)
    del spec["config"]
    return Chart(name=name, title=title, spec=spec if height is None else spec | {"height": height}, note=note)


def marked_emulated(chart: Chart) -> Chart:
    """The chart of an emulated run: the word stands across it, on a page as in a picture."""
    word: Row = {
        "data": {"values": [{}]},
        "mark": {
            "type": "text",
            "fontSize": 44,
            "fontWeight": "bold",
            "angle": 340,
            "color": VERMILION,
            "opacity": 0.3,
        },
        "encoding": {"text": {"value": tr("EMULATED")}},
    }
    word["encoding"] |= {"x": {"value": {"expr": "width / 2"}}, "y": {"value": {"expr": "height / 2"}}}
    chart.spec = chart.spec | {"layer": [*chart.spec["layer"], word]}
    return chart


def save(chart: Chart, folder: Path, *, emulated: bool, subtitle: str = "") -> list[Path]:
    """Write `<name>.png` and `<name>.svg`; what was emulated says so over the picture.

    Args:
        chart: to be saved.
        folder: is made where it is not there.
        emulated: whether it is of an emulated run.
        subtitle: the run's name.
    """
    import vl_convert

    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{chart.name}.png", folder / f"{chart.name}.svg"
    drawn = vl_convert.vegalite_to_svg(json.dumps(pictured(chart, emulated=emulated, subtitle=subtitle)))
    svg.write_text(drawn)
    # From the SVG: to lay a chart out takes five times as long as to paint it.
    png.write_bytes(vl_convert.svg_to_png(drawn, scale=SCALE))
    return [png, svg]


def pictured(chart: Chart, *, emulated: bool, subtitle: str = "") -> dict[str, Any]:
    """The specification of a picture on its own: with title, size, note and the light theme."""
    title: dict[str, Any] = {"text": chart.title, "anchor": "start", "fontSize": 15, "offset": 12}
    under = [tr("EMULATED on the host CPU")] if emulated else []
    under += [subtitle] if subtitle else []
    under += _lines(chart.note)
    if under:
        color = VERMILION if emulated else "#5b616b"
        title |= {"subtitle": under, "subtitleColor": color, "subtitleFontSize": 12}
    sized = {"width": WIDTH, "height": HEIGHT} | chart.spec
    return sized | {"title": title, "config": LIGHT, "background": "white", "padding": 12}


def columns_of(text: str) -> int:
    """Width of a text in columns of Latin letters."""
    return sum(2 if ord(letter) >= CJK else 1 for letter in text)


def in_lines(text: str, most: int) -> list[str]:
    """A text in lines of so many columns at the most, as far as its words allow."""
    lines = [""]
    for word in _words(text):
        if columns_of(lines[-1] + word.rstrip()) > most:
            lines.append("")
        lines[-1] += word
    return [line.strip() for line in lines if line.strip()]


def _lines(note: str) -> list[str]:
    """A note in lines of the picture's width; of a long one its beginning."""
    lines = in_lines(note, NOTE_COLUMNS)
    return lines if len(lines) <= NOTE_LINES else [*lines[: NOTE_LINES - 1], f"{lines[NOTE_LINES - 1]} …"]


def _words(text: str) -> list[str]:
    """What a line may be broken between: words with the blank behind them, and Chinese characters."""
    return re.findall(r"[\u2e80-\uffff]|[^\s\u2e80-\uffff]+\s*|\s+", text)


def _theme(*, ink: str, faint: str, grid: str) -> dict[str, Any]:
    axis = {"labelColor": ink, "titleColor": ink, "gridColor": grid, "domainColor": faint, "tickColor": faint}
    sizes = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    return {
        "font": "system-ui, 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif",
        "view": {"stroke": None},
        "axis": axis | sizes | {"labelLimit": 320, "titlePadding": 8},
        "legend": {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12, "labelLimit": 420},
        "title": {"color": ink, "subtitleColor": faint},
        "text": {"color": ink, "fontSize": 12},
        "range": {"category": list(PALETTE)},
    }


LIGHT = _theme(ink="#23272e", faint="#5b616b", grid="#e3e5e8")
DARK = _theme(ink="#e6e8eb", faint="#a3a9b3", grid="#33373d")
"""Vega-Lite's `config` for a page on light and on dark; a chart holds neither."""

"""The layers that charts are made of: lines with the range around them, shaded stretches, levels, and one legend."""

from __future__ import annotations

from typing import Any

from runner.views.charts.parts.chart import Row, columns_of, data, in_lines

WIDE_LABEL = 20
"""Columns of a legend's label from which each has a line of its own: a phone is 340 pixels wide."""
WIDEST_TITLE = 42
"""Columns of a line of an axis's title."""
WIDEST_LABEL = 38
"""Columns of a legend's label; a longer one is cut in its middle."""


class Key:
    """The legend: what each colour stands for, in order. All layers of a chart share it."""

    def __init__(self, colors: dict[str, str]) -> None:
        """Name to colour; rows say by `series` which colour they have."""
        self.colors = colors

    def color(self) -> Any:
        """The channel of every layer."""
        import altair

        names = list(self.colors)
        columns = 1 if max(map(columns_of, names), default=0) > WIDE_LABEL else 2
        look = {"symbolType": "square", "symbolOpacity": 1, "symbolStrokeWidth": 0, "rowPadding": 3}
        legend = altair.Legend(title=None, orient="top", direction="vertical", columns=columns, **look)
        return altair.Color("series:N", scale=self.scale(), legend=legend)

    def shape(self) -> Any:
        """The same names as shapes, for points that must be told apart without colours."""
        import altair

        shapes = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]
        names = list(self.colors)
        scale = altair.Scale(domain=names, range=[shapes[place % len(shapes)] for place in range(len(names))])
        return altair.Shape("series:N", scale=scale, legend=None)

    def scale(self) -> Any:
        """From a row's `series` to its colour."""
        import altair

        return altair.Scale(domain=list(self.colors), range=list(self.colors.values()))


def shortened(text: str, most: int = WIDEST_LABEL) -> str:
    """A name that fits into a legend; what tells names apart is mostly at their ends."""
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most // 2) :]}"


def wrapped(title: str) -> str | list[str]:
    """An axis's title, in lines where it is wider than a phone's chart."""
    lines = in_lines(title, WIDEST_TITLE)
    return lines if len(lines) > 1 else title


def x_axis(title: str, **more: Any) -> Any:
    """A quantitative x axis of the field `x`; `scale` and the axis's own properties may be given."""
    import altair

    scale = more.pop("scale", None) or altair.Scale(nice=False, zero=False)
    look: dict[str, Any] = {"grid": False, "labelOverlap": True, "tickCount": 8, "labelFlush": True}
    return altair.X("x:Q", title=wrapped(title), scale=scale, axis=altair.Axis(**(look | more)))


def y_axis(field: str, title: str, *, zero: bool, **more: Any) -> Any:
    """A quantitative y axis; with `zero` it begins there."""
    import altair

    scale = more.pop("scale", None) or altair.Scale(zero=zero, nice=True)
    return altair.Y(f"{field}:Q", title=wrapped(title), scale=scale, axis=altair.Axis(**({"tickCount": 6} | more)))


def line(rows: list[Row], key: Key, x: Any, title: str, *, zero: bool, point: bool = False) -> list[Any]:
    """A line of means, and behind it a band from lowest to highest where there is one.

    Args:
        rows: of `bins`.
        key: the legend.
        x: `x_axis`'s.
        title: of the y axis, with its unit.
        zero: whether that begins at zero.
        point: whether each point is marked, too.
    """
    import altair

    base = altair.Chart(data(rows)).encode(x=x, color=key.color())
    layers = []
    if any(row["low"] != row["high"] for row in rows):
        layers.append(base.mark_area(opacity=0.25).encode(y=y_axis("low", title, zero=zero), y2="high:Q"))
    mark = base.mark_line(strokeWidth=1.8, point={"size": 40} if point else False)
    return [*layers, mark.encode(y=y_axis("mean", title, zero=zero), tooltip=tooltip(plain(x["title"]), "mean", title))]


def plain(title: str | list[str]) -> str:
    """A title that `wrapped` may have cut into lines."""
    return title if isinstance(title, str) else " ".join(title)


def tooltip(x_title: str, field: str, title: str) -> list[Any]:
    """What a page shows under the pointer."""
    import altair

    look = {"format": ",.4~g"}
    told = [altair.Tooltip("x:Q", title=x_title, **look), altair.Tooltip(f"{field}:Q", title=title, **look)]
    return [altair.Tooltip("series:N", title=" "), *told]


def bands(rows: list[Row], key: Key, x: Any, *, opacity: float = 0.14) -> list[Any]:
    """Shaded stretches over the whole height; none without rows.

    Args:
        rows: of `x`, `end` and `series`.
        key: the legend.
        x: `x_axis`'s.
        opacity: 0 to 1.
    """
    import altair

    if not rows:
        return []
    return [altair.Chart(data(rows)).mark_rect(opacity=opacity).encode(x=x, x2="end:Q", color=key.color())]


def levels(rows: list[Row], key: Key, y: Any) -> list[Any]:
    """Dashed horizontal lines; rows of the field of `y` and `series`. None without rows."""
    import altair

    if not rows:
        return []
    return [altair.Chart(data(rows)).mark_rule(strokeDash=[6, 4], strokeWidth=1.6).encode(y=y, color=key.color())]


def moments(rows: list[Row], key: Key, x: Any) -> list[Any]:
    """Dashed vertical lines; rows of `x` and `series`. None without rows."""
    import altair

    if not rows:
        return []
    return [altair.Chart(data(rows)).mark_rule(strokeDash=[4, 3], strokeWidth=1.6).encode(x=x, color=key.color())]

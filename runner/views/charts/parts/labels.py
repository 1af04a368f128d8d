"""Where the names of points are written so that none covers another; a name without room is left to the pointer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from runner.views.charts.parts.chart import HEIGHT, WIDTH, Row, columns_of, data

COLUMN, LINE = 6.6, 15.0
"""Pixels of a Latin letter and of a line of text, of the chart's font size."""
GAP = 8.0
"""Pixels between a point and its name."""


WIDE = "width < 480 ? 0 : 1"
"""Vega's expression: on a narrow page the places do not hold, and the pointer tells the names."""


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def inside(self) -> bool:
        """Whether it stays on the plot; above and below there is room for half a line."""
        return self.left >= 0 and self.right <= WIDTH and self.top >= -LINE / 2 and self.bottom <= HEIGHT + LINE / 2

    def meets(self, other: _Box) -> bool:
        apart = self.right < other.left or other.right < self.left or self.bottom < other.top or other.bottom < self.top
        return not apart


class _Side(NamedTuple):
    """Where a name stands beside its point."""

    align: str
    dx: float
    dy: float


SIDES = (_Side("left", GAP, 0), _Side("right", -GAP, 0), _Side("center", 0, -LINE), _Side("center", 0, LINE))


def names_of_points(
    rows: Sequence[Row], place: Callable[[Row], tuple[float, float]], x: Any, y: Any, *, field: str = "text"
) -> list[Any]:
    """Layers of text, the earlier rows first served.

    Args:
        rows: points with the fields of `x`, `y` and `field`.
        place: of a row in the plot, from 0 to 1, from the left and from the top.
        x: `x_axis`'s.
        y: `y_axis`'s.
        field: what is written.
    """
    import altair

    dots = [_Box(u - 5, v - 5, u + 5, v + 5) for u, v in (_pixels(*place(row)) for row in rows)]
    taken: list[_Box] = []
    by_side: dict[_Side, list[Row]] = {}
    for row, own in zip(rows, dots, strict=True):
        others = [*taken, *(dot for dot in dots if dot is not own)]
        for side in SIDES:
            box = _box(_pixels(*place(row)), str(row[field]), side)
            if box.inside() and not any(map(box.meets, others)):
                taken.append(box)
                by_side.setdefault(side, []).append(row)
                break
    return [
        altair.Chart(data(found))
        .mark_text(align=side.align, dx=side.dx, dy=side.dy, baseline="middle", opacity=altair.ExprRef(WIDE))
        .encode(x=x, y=y, text=f"{field}:N")
        for side, found in by_side.items()
    ]


def _pixels(u: float, v: float) -> tuple[float, float]:
    return u * WIDTH, v * HEIGHT


def _box(at: tuple[float, float], text: str, side: _Side) -> _Box:
    width = COLUMN * columns_of(text)
    begin = {"left": 0.0, "right": -width, "center": -width / 2}[side.align]
    left, middle = at[0] + side.dx + begin, at[1] + side.dy
    return _Box(left, middle - LINE / 2, left + width, middle + LINE / 2)

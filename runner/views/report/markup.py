"""Small pieces of HTML. Whatever text comes in is escaped here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from runner.messages import tr
from runner.views.charts.parts.chart import Chart
from runner.views.page import clean

_DRAWN_DIGITS = 7


class Markup(str):
    """Text that is HTML already; whatever is added to it is escaped."""

    __slots__ = ()

    def __add__(self, other: str) -> Markup:
        return Markup(str.__add__(self, html(other)))

    def __radd__(self, other: str) -> Markup:
        return Markup(str.__add__(html(other), self))


@dataclass(kw_only=True, slots=True, frozen=True)
class Cell:
    """A cell of a table."""

    content: str
    kind: str = ""
    """Classes."""


def html(text: str) -> Markup:
    """Text as HTML; what is HTML already stays as it is."""
    return text if isinstance(text, Markup) else Markup(escape(clean(text)))


def joined(parts: Iterable[str], between: str = "\n") -> Markup:
    """Parts one after the other; the empty ones left out."""
    return Markup(between.join(html(part) for part in parts if part))


def tag(name: str, content: str = "", *, kind: str = "", **attributes: str) -> Markup:
    """An element with its content; attributes are escaped, `data_head` becomes `data-head`."""
    given = ({"class": kind} if kind else {}) | attributes
    written = "".join(f' {key.replace("_", "-")}="{escape(clean(value))}"' for key, value in given.items())
    return Markup(f"<{name}{written}>{html(content)}</{name}>")


def badge(word: str, kind: str) -> Markup:
    """A marked word; nothing where there is none."""
    return tag("span", word, kind=f"badge {kind}") if word else Markup()


def items(texts: Iterable[str]) -> Markup:
    """A bulleted list; nothing where there is nothing in it."""
    found = [tag("li", text) for text in texts]
    return tag("ul", joined(found)) if found else Markup()


def pairs(rows: Iterable[tuple[str, str]]) -> Markup:
    """Names and values."""
    return tag("dl", joined(tag("dt", name) + tag("dd", value) for name, value in rows if value))


def table(header: Sequence[Cell], rows: Iterable[Sequence[Cell] | Markup]) -> Markup:
    """A table that scrolls inside itself, and stands as cards on a phone.

    Args:
        header: a cell per column, whose kind its column's cells take too.
        rows: cells, or a whole row.
    """
    head = joined((tag("th", cell.content, kind=cell.kind) for cell in header), "")
    body = [row if isinstance(row, Markup) else _row(header, row) for row in rows]
    parts = tag("thead", tag("tr", head)) + tag("tbody", joined(body))
    return tag("div", tag("table", parts, kind="stack"), kind="scroll")


def _row(header: Sequence[Cell], cells: Sequence[Cell]) -> Markup:
    found = []
    for head, cell in zip(header, cells, strict=True):
        kinds = " ".join(part for part in (head.kind, cell.kind) if part)
        inside = tag("span", cell.content) if cell.content else ""
        found.append(tag("td", inside, kind=kinds, data_head=head.content))
    return tag("tr", joined(found, ""))


def folded(summary: str, content: str, *, kind: str = "", prints: bool = True) -> Markup:
    """What is shown when it is asked for; `prints` opens it for paper."""
    marked = {"data_print": "yes"} if prints else {}
    return tag("details", tag("summary", summary) + html(content), kind=kind, **marked)


def chart(drawn: Chart) -> Markup:
    """A chart's place, with its specification inside."""
    spec = tag("script", script_json(_rounded(drawn.spec)), type="application/json")
    place = tag("div", tag("noscript", tr("Charts need JavaScript; the tables do not.")), kind="chart")
    note = tag("p", drawn.note, kind="note") if drawn.note else Markup()
    return tag("figure", tag("figcaption", drawn.title) + place + note + spec, data_chart=drawn.name)


def _rounded(value: Any) -> Any:
    """A specification with numbers of no more digits than can be drawn, which halves its size."""
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.{_DRAWN_DIGITS}g}") if isinstance(value, float) else value


def charts(drawn: Sequence[Chart]) -> Markup:
    """Charts side by side where there is room."""
    return tag("div", joined(chart(one) for one in drawn), kind="charts") if drawn else Markup()


def script_json(value: Any) -> Markup:
    """JSON that may stand inside a script element: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))

"""A page of text and grids, written once and shown on a terminal, as Markdown or as HTML.

`tables` and `compare` say what is on a page; nothing else decides rows or columns.
"""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass, field
from typing import IO, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

WIDTH = 100
"""Columns a page needs; wider terminals show it at this width."""
NULL = "-"
BEST = "★"
UNRANKED = "†"
"""In a cell whose ratio says nothing; such a cell is grey."""

Kind = Literal["title", "heading", "plain", "item", "good", "mark", "warning", "error"]
_STYLES: dict[Kind, str] = {
    "title": "bold",
    "heading": "bold cyan",
    "plain": "",
    "item": "",
    "good": "bold green",
    "mark": "bold yellow",
    "warning": "yellow",
    "error": "red",
}
_NARROW = 32
"""A column whose cells are longer than this may wrap."""
_NARROWEST = 12
"""And longer than this where the columns do not fit side by side: a cell is never cut."""
_GAP = 2
"""Spaces between two columns."""
_MARKDOWN_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\|*_`[]<>#"})


@dataclass(kw_only=True, slots=True)
class Note:
    """A line or paragraph."""

    text: str
    kind: Kind = "plain"


@dataclass(kw_only=True, slots=True)
class Grid:
    """Rows and columns of text."""

    header: list[str]
    rows: list[list[str]]
    right: frozenset[int] = frozenset()
    """Columns aligned to the right."""
    groups: frozenset[int] = frozenset()
    """Rows after which a new group begins."""
    sticky: int = 0
    """First columns, repeated when the rest must be shown in several parts; 0: never cut."""
    tail: int = 0
    """Last columns that belong to every part as well."""


@dataclass(kw_only=True, slots=True)
class Page:
    """What is shown, from top to bottom."""

    blocks: list[Note | Grid] = field(default_factory=list)

    def note(self, text: str, kind: Kind = "plain") -> None:
        """Add a line or paragraph."""
        self.blocks.append(Note(text=text, kind=kind))


class Screen(Console):
    """rich's console; a reader who has gone away (`| head`, a closed terminal) does not end the run."""

    def on_broken_pipe(self) -> None:
        """Say nothing more."""
        self.quiet = True
        if self.file is sys.stdout:
            # Python itself would fail when it flushes standard output at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def screen(file: IO[str] | None = None, *, terminal: bool | None = None) -> Screen:
    """A console for people: never fails on a character the terminal cannot write, wide enough for a page."""
    stream = file or sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    made = Screen(file=file, force_terminal=terminal, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = WIDTH
    return made


def clean(text: str) -> str:
    """`text` without control characters, which drivers' messages contain and terminals obey."""
    return "".join(character for character in text if character in "\n\t" or character.isprintable())


def to_rich(page: Page, *, width: int = WIDTH) -> RenderableType:
    """The page for a terminal of at least `width` columns."""
    parts: list[RenderableType] = []
    for position, block in enumerate(page.blocks):
        if isinstance(block, Grid):
            for part in _cut(block, width):
                parts += [Text(), _table(part, width)]
            continue
        if position and (block.kind == "heading" or isinstance(page.blocks[position - 1], Grid)):
            parts.append(Text())
        text = Text(clean(block.text), style=_STYLES[block.kind])
        parts.append(_hanging(text, width) if block.kind in ("item", "warning") else text)
    return Group(*parts)


def to_text(page: Page, *, width: int = WIDTH) -> str:
    """The page as plain text of `width` columns."""
    out = io.StringIO()
    Screen(file=out, width=width, force_terminal=False, color_system=None).print(to_rich(page, width=width))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def to_markdown(page: Page) -> str:
    """The page as GitHub's Markdown."""
    prefix: dict[Kind, str] = {"title": "## ", "heading": "### ", "item": "- ", "warning": "- ⚠ "}
    lines: list[str] = []
    previous: Kind | None = None
    for block in page.blocks:
        if isinstance(block, Grid):
            lines += ["", *_markdown_grid(block), ""]
            previous = None
            continue
        if block.kind == "plain" and "\n" in block.text:
            lines += ["", "```text", *clean(block.text).splitlines(), "```"]
            continue
        text = _escaped(block.text)
        listed = block.kind in ("item", "warning")
        lines += [] if listed and previous == block.kind else [""]
        lines.append(prefix.get(block.kind, "") + (f"**{text}**" if block.kind in ("mark", "error", "good") else text))
        previous = block.kind
    return "\n".join(lines).strip("\n") + "\n"


def _escaped(text: str) -> str:
    return " ".join(clean(text).split()).translate(_MARKDOWN_SPECIAL)


def _markdown_grid(grid: Grid) -> list[str]:
    rules = ["---:" if column in grid.right else "---" for column in range(len(grid.header))]
    rows = [[_escaped(cell) for cell in row] for row in (grid.header, *grid.rows)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], f"| {' | '.join(rules)} |", *lines[1:]]


def _table(grid: Grid, width: int) -> Table:
    fits = sum(_widest(grid, column) + _GAP for column in range(len(grid.header))) <= width
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    for column, title in enumerate(grid.header):
        table.add_column(
            Text(title),
            justify="right" if column in grid.right else "left",
            overflow="fold",
            no_wrap=_widest(grid, column) <= (_NARROW if fits else _NARROWEST),
        )
    for index, row in enumerate(grid.rows):
        table.add_row(*(Text(clean(cell), style=_cell_style(cell)) for cell in row), end_section=index in grid.groups)
    table.width = min(width, sum(_widest(grid, column) + _GAP for column in range(len(grid.header))))
    return table


def _cell_style(cell: str) -> str:
    if cell == NULL or UNRANKED in cell:
        return "dim"
    return "bold green" if BEST in cell else ""


def _hanging(text: Text, width: int) -> Table:
    """A bullet whose further lines are indented."""
    row = Table.grid(padding=(0, 1))
    row.add_column(width=1)
    row.add_column(max_width=width - 3, overflow="fold")
    row.add_row(Text("•", style=text.style), text)
    return row


def _widest(grid: Grid, column: int) -> int:
    return max(cell_len(row[column]) for row in (grid.header, *grid.rows))


def _cut(grid: Grid, width: int) -> list[Grid]:
    """The grid in parts that fit; each repeats the sticky and the tail columns."""
    columns = len(grid.header)
    widths = [min(_widest(grid, column), _NARROW) + _GAP for column in range(columns)]
    if not grid.sticky or sum(widths) <= width:
        return [grid]
    head, tail = list(range(grid.sticky)), list(range(columns - grid.tail, columns))
    room = width - sum(widths[column] for column in head + tail)
    parts: list[list[int]] = [[]]
    for column in range(grid.sticky, columns - grid.tail):
        if parts[-1] and sum(widths[other] for other in parts[-1]) + widths[column] > room:
            parts.append([])
        parts[-1].append(column)
    return [_columns(grid, head + part + tail) for part in parts]


def _columns(grid: Grid, kept: list[int]) -> Grid:
    return Grid(
        header=[grid.header[column] for column in kept],
        rows=[[row[column] for column in kept] for row in grid.rows],
        right=frozenset(new for new, old in enumerate(kept) if old in grid.right),
        groups=grid.groups,
    )

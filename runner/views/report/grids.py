"""Grids of text pages as HTML tables."""

from __future__ import annotations

from runner.views.page import BEST, NULL, Grid
from runner.views.report.markup import Cell, Markup, table


def from_grid(grid: Grid) -> Markup:
    """A grid as a table."""
    header = [
        Cell(content=title, kind="right" if column in grid.right else "") for column, title in enumerate(grid.header)
    ]
    return table(header, [[Cell(content=cell, kind=_kind(cell)) for cell in row] for row in grid.rows])


def _kind(cell: str) -> str:
    return "dim" if cell == NULL else "strong" if BEST in cell else ""

"""What the runs of a group measured of one dimension, side by side: a run per row, nothing ranked."""

from __future__ import annotations

from pathlib import Path

from runner.comparison.result import known as figure_meaning
from runner.messages import tr
from runner.record.names import written
from runner.record.task import task_named
from runner.results.index.summary import Summary
from runner.views.page import NULL
from runner.views.report.dimensions import Dimension, of_figure
from runner.views.report.markup import Cell, Markup, badge, html, joined, table, tag
from runner.views.report.rows import RowGroup, RunRow
from runner.views.tables import order

MOST_COLUMNS = 6
_SAID = "run/"
"""Of figures that the rows of the first screen tell in words."""


def of_group(dimension: Dimension, group: RowGroup, names: dict[Path, str]) -> Markup:
    """The group's table of a dimension; nothing where no run measured anything of it."""
    summaries = [row.summary for row in group.rows]
    figures = _figures(dimension, summaries)[:MOST_COLUMNS]
    if not figures:
        return Markup()
    columns = [_column(name, summaries) for name in figures]
    header = [Cell(content=tr("Run")), *(Cell(content=head, kind="right") for head, _ in columns)]
    rows = [
        [Cell(content=_label(row, names)), *(Cell(content=cells[place]) for _, cells in columns)]
        for place, row in enumerate(group.rows)
    ]
    marked = badge(group.word, "emulated" if group.rows[0].summary.emulated else "warn")
    title = joined([html(group.title), marked], " ")
    return joined([tag("h3", title), table(header, rows)])


def _figures(dimension: Dimension, summaries: list[Summary]) -> list[str]:
    measured = {name for one in summaries for name, figure in one.figures.items() if figure.value is not None}
    task = task_named(summaries[0].case.get("task")) if summaries else None
    names = [name for name in measured if of_figure(name) == dimension and not name.startswith(_SAID)]
    return sorted((name for name in names if task is None or task.on_first_screen(name)), key=order)


def _column(name: str, summaries: list[Summary]) -> tuple[str, list[str]]:
    """Head with the unit, and a cell for each run; a run with another unit tells it in its cell."""
    known = figure_meaning(name, next(one for one in summaries if name in one.figures))
    values = [one.figures.get(name) for one in summaries]
    numbers = [abs(figure.value) for figure in values if figure is not None and figure.value is not None]
    told = [
        (NULL, "")
        if figure is None or figure.value is None
        else written(figure.value, figure.unit, known.form, like=max(numbers))
        for figure in values
    ]
    unit = next((unit for text, unit in told if text != NULL), "")
    head = f"{tr(known.title)} ({unit})" if unit else tr(known.title)
    return head, [text if other in ("", unit) else f"{text} {other}" for text, other in told]


def _label(row: RunRow, names: dict[Path, str]) -> Markup:
    return joined([f"{row.where} · {row.precision}", tag("code", names[row.summary.folder])], " ")

"""The four dimensions of a report: which figures and charts belong to which, and the table of a dimension's figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from runner.messages import tr, tr_recorded
from runner.record.names import written
from runner.record.report import Report
from runner.views.charts.parts.chart import Chart
from runner.views.meanings import known
from runner.views.report.markup import Cell, Markup, charts, folded, html, joined, table, tag
from runner.views.tables import first_line, on_first_screen, order, value_and_unit


@dataclass(kw_only=True, slots=True, frozen=True)
class Dimension:
    """A section of the page."""

    key: str
    figures: tuple[str, ...]
    """Patterns over figure names."""
    charts: tuple[str, ...]
    """Patterns over chart names."""


CORRECTNESS = Dimension(
    key="correctness",
    figures=("quality/*", "accuracy/*", "numerics/*", "data/*", "run/skipped_steps"),
    charts=("loss*", "quality*", "converge*", "accuracy*", "numerics*", "error*"),
)
RESOURCES = Dimension(
    key="resources",
    figures=(
        *("memory/*", "energy/*", "power/*", "clock/*", "host/*", "device/*", "estimate/*", "cost/*"),
        *("infer/compile_peak_gib", "infer/engine_mib"),
    ),
    charts=("power*", "clock*", "energy*", "memory*", "temperature*", "speed_energy*", "throttl*", "utilisation*"),
)
ADAPTATION = Dimension(
    key="adaptation",
    figures=("infer/compile_s", "infer/export_s", "infer/coverage", "infer/subgraphs"),
    charts=("coverage*", "compile*", "adaptation*"),
)
PERFORMANCE = Dimension(key="performance", figures=("*",), charts=("*",))
"""What none of the others takes."""
DIMENSIONS = (CORRECTNESS, PERFORMANCE, RESOURCES, ADAPTATION)
_FIRST = (CORRECTNESS, RESOURCES, ADAPTATION, PERFORMANCE)
_ELSEWHERE = ("run/emulated", "run/publishable", "quality/reached")
"""Said in words on the page."""


def title_of(dimension: Dimension) -> str:
    """A dimension's heading."""
    titles = {"correctness": tr("Correctness"), "performance": tr("Performance"), "resources": tr("Resources")}
    return (titles | {"adaptation": tr("Ecosystem adaptation")})[dimension.key]


def of_figure(name: str) -> Dimension:
    """Where a figure belongs."""
    return next(one for one in _FIRST if any(fnmatchcase(name, pattern) for pattern in one.figures))


def of_chart(name: str) -> Dimension:
    """Where a chart belongs."""
    return next(one for one in _FIRST if any(fnmatchcase(name, pattern) for pattern in one.charts))


def charts_of(dimension: Dimension, charts: Sequence[Chart]) -> list[Chart]:
    """The dimension's charts."""
    return [chart for chart in charts if of_chart(chart.name) == dimension]


def pictures(drawn: Sequence[Chart]) -> Markup:
    """A dimension's charts; of repeats, those of the first one, the others' folded away."""
    first = [chart for chart in drawn if not _further_repeat(chart)]
    more = [chart for chart in drawn if _further_repeat(chart)]
    rest = [folded(tr("Charts of the other repeats"), charts(more), prints=False)] if more else []
    return joined([charts(first), *rest])


def _further_repeat(chart: Chart) -> bool:
    number = chart.name.rpartition("_repeat")[2]
    return number.isdigit() and int(number) > 1


def figures_of(dimension: Dimension, report: Report) -> Markup:
    """Its measured figures as a table, and the others with their reasons behind it."""
    names = [name for name in sorted(report.figures, key=order) if of_figure(name) == dimension]
    names = [name for name in names if name not in _ELSEWHERE]
    measured = [name for name in names if report.figures[name].value is not None]
    first = [name for name in measured if on_first_screen(name, report)] or measured
    more = [name for name in measured if name not in first]
    missing = [name for name in names if report.figures[name].value is None]
    parts = [_measured(first, report)] if measured else [tag("p", tr("Nothing of it was measured."), kind="dim")]
    parts += [folded(tr("{count} further figures", count=len(more)), _measured(more, report))] if more else []
    if missing:
        parts.append(
            folded(tr("Not measured: {count} figures, and why", count=len(missing)), _missing(missing, report))
        )
    return joined(parts)


def _measured(names: list[str], report: Report) -> Markup:
    spread = any(report.figures[name].interval for name in names)
    header = [Cell(content=tr("Figure")), Cell(content=tr("Value"), kind="right"), Cell(content=tr("Unit"))]
    header += [Cell(content=tr("95 % interval"), kind="right")] if spread else []
    header += [Cell(content=tr("Name in report.json"))]
    return table(header, [_row(name, report, spread=spread) for name in names])


def _row(name: str, report: Report, *, spread: bool) -> list[Cell]:
    figure, meaning = report.figures[name], known(name, report)
    value, unit = value_and_unit(name, figure, report)
    if meaning.form == "yes_no":
        value = tr("yes") if figure.value else tr("no")
    cells = [Cell(content=tr(meaning.title)), Cell(content=value, kind="strong"), Cell(content=unit)]
    if spread:
        ends = [written(end, figure.unit, meaning.form, like=figure.value)[0] for end in figure.interval or ()]
        cells.append(Cell(content=tr("{low} to {high}", low=ends[0], high=ends[1]) if ends else ""))
    return [*cells, Cell(content=tag("code", name))]


def _missing(names: list[str], report: Report) -> Markup:
    """Each reason once, with the figures that it holds for."""
    by_reason: dict[str, list[str]] = {}
    for name in names:
        by_reason.setdefault(report.figures[name].reason or "", []).append(name)
    header = [Cell(content=tr("Figures")), Cell(content=tr("Why there is none"))]
    rows = [
        [
            Cell(content=html(", ".join(tr(known(name, report).title) for name in found))),
            Cell(content=first_line(tr_recorded(reason)), kind="reason"),
        ]
        for reason, found in by_reason.items()
    ]
    return table(header, rows)

"""All charts of a set of runs, from their reports alone."""

from __future__ import annotations

from collections.abc import Sequence

from runner.messages import tr
from runner.views.charts import roofline, scaling, trade
from runner.views.charts.groups import QUALITY_MISSED, ChartGroup, groups_of, labels_of, written_value
from runner.views.charts.parts.bars import bars
from runner.views.charts.parts.chart import BLUE, GREY, ORANGE, PURPLE, VERMILION, Chart, Row, marked_emulated
from runner.views.charts.parts.layers import Key
from runner.views.comparable import RunResult

MOST_BARS = 30
"""Of one chart; the note says how many more there are."""
MOST_GROUPS = 12
"""Groups of which there are charts; the tables beside them have all."""


def set_charts(runs: Sequence[RunResult]) -> list[Chart]:
    """The charts of a set, the most telling first; a run without a measured figure is in none.

    The first are bars of each group's main figure, then the roofline, scaling, speed against energy, quality against
    speed. Runs of unlike cases, units, loads or emulated ones never share an axis with others.
    """
    groups = groups_of(runs)
    several = [group for group in groups if len(group.runs) > 1]
    # Where no two runs can stand beside each other, a bar alone is better than no picture.
    charts = [speeds(group) for group in (several or groups)[:MOST_GROUPS]]
    found: list[Chart | None] = [_roofline(groups), scaling.scaling(groups)]
    for group in several[:MOST_GROUPS]:
        found += [trade.speed_against_energy(group), trade.quality_beside_speed(group)]
    return [*charts, *(chart for chart in found if chart is not None)]


def speeds(group: ChartGroup) -> Chart:
    """A bar for each run of a group, the best on top, with its interval over repeats."""
    here, imported, missed = tr("measured"), tr("imported: measured by another tool"), tr("quality target missed")
    emulated, whiskers = tr("EMULATED on the host CPU"), tr("95 % interval over repeats")
    rows: list[Row] = []
    for run in group.runs[:MOST_BARS]:
        figure = group.figure(run)
        assert figure.value is not None
        series = imported if run.report.imported else missed if run.report.exit_code == QUALITY_MISSED else here
        label = f"{written_value(group, figure.value)} · {group.labels[id(run)]}"
        row: Row = {"label": label, "value": figure.value, "series": emulated if group.emulated else series}
        if figure.interval is not None:
            # An interval of few repeats may reach below zero, where no figure can be: its whisker ends at the axis.
            row |= {"low": max(0.0, figure.interval[0]), "high": figure.interval[1]}
        rows.append(row)
    shown = {str(row["series"]) for row in rows}
    colors = {here: BLUE, imported: PURPLE, missed: GREY, emulated: VERMILION}
    key = Key({name: color for name, color in colors.items() if name in shown})
    if any("low" in row for row in rows):
        key.colors[whiskers] = ORANGE
    title = tr("{figure}: {case}", figure=tr(group.meaning.title), case=group.title)
    made = bars(
        f"speed_{group.name}",
        f"{tr('EMULATED')} · {title}" if group.emulated else title,
        rows,
        key,
        _axis(group),
        hollow=group.emulated,
        interval=whiskers,
        note=_note(group, len(rows)),
    )
    return marked_emulated(made) if group.emulated else made


def _axis(group: ChartGroup) -> str:
    directions = {"higher": tr("higher is better"), "lower": tr("lower is better")}
    direction = directions.get(group.meaning.better or "")
    return f"{group.axis_title()}, {direction}" if direction else group.axis_title()


def _note(group: ChartGroup, shown: int) -> str:
    said = []
    if len(group.runs) > shown:
        said.append(tr("The best {shown} of {count} runs.", shown=shown, count=len(group.runs)))
    if group.left_out:
        said.append(tr("Without {count} runs that failed or did not measure this.", count=group.left_out))
    return " ".join(said)


def _roofline(groups: Sequence[ChartGroup]) -> Chart | None:
    runs = [run for group in groups for run in group.runs]
    models = {str(run.report.case.get("model")) for run in runs}
    labels = labels_of(runs)
    places = []
    for run in runs:
        model = f"{run.report.case.get('model')} · " if len(models) > 1 else ""
        place = roofline.place_of(run.report, f"{model}{labels[id(run)]}")
        places += [place] if place else []
    return roofline.roofline(places, title=tr("Roofline of all cases"))

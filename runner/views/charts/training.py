"""What is drawn of a training's steps: its throughput, its loss and how long its steps took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, groupby
from pathlib import Path

from runner.messages import tr
from runner.record.names import number
from runner.record.report import Report
from runner.record.series import StepPoint, read_steps
from runner.record.step_rows import read_rows
from runner.views.charts.parts.bins import BARS, Observation, binned, histogram
from runner.views.charts.parts.chart import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, Chart, Row, data, finished
from runner.views.charts.parts.layers import Key, bands, levels, line, moments, x_axis, y_axis

FEWEST_BARS = 8
WHOLE = "datum.value % 1 ? '' : format(datum.value, ',d')"
"""Vega's expression: counts have no fractions."""
QUANTILES = {"p50": ORANGE, "p90": PURPLE, "p99": SKY}
"""Name in figures to colour."""


def charts(folder: Path, report: Report) -> list[Chart | None]:
    """Throughput, loss and step times."""
    steps = read_steps(folder / "steps.csv")
    return [throughput(steps, report), loss(steps), step_times(folder, report)]


def throughput(steps: Sequence[StepPoint], report: Report) -> Chart | None:
    """Samples per second over the time in steps, with the report's steady one."""
    told = [step for step in steps if step.seconds > 0]
    if not told:
        return None
    ends = list(accumulate(step.seconds for step in told))
    timed = list(zip(told, ends, strict=True))
    groups = [list(members) for _, members in groupby(timed, key=lambda pair: pair[0].phase)]
    points = [[Observation(end, step.samples / step.seconds, step.seconds) for step, end in group] for group in groups]
    rows, size = binned(points)
    unit = f"{report.case.get('unit', 'samples')}/s"
    steady = report.figures.get("throughput/steady")
    level: list[Row] = []
    if steady is not None and steady.value is not None:
        value = f"{number(steady.value)} {unit}"
        means = tr("steady, mean of repeats: {value}", value=value)
        level = [{"mean": steady.value, "series": means if steady.interval else tr("steady: {value}", value=value)}]
    series, phases, key = _key(size, told, ends, {row["series"]: ORANGE for row in level})
    x, title = x_axis(tr("time in training steps (s)")), tr("throughput ({unit})", unit=unit)
    drawn = line([row | {"series": series} for row in rows], key, x, title, zero=True)
    layers = [*bands(phases, key, x), *drawn, *levels(level, key, y_axis("mean", title, zero=True))]
    return finished("throughput", tr("Throughput over time"), layers)


def loss(steps: Sequence[StepPoint]) -> Chart | None:
    """Training loss by optimizer step, with warm-up and window."""
    told = [step for step in steps if step.loss is not None]
    if not told:
        return None
    groups = [list(members) for _, members in groupby(told, key=lambda step: step.phase)]
    points = [[Observation(step.step, step.loss) for step in group if step.loss is not None] for group in groups]
    rows, size = binned(points)
    series, phases, key = _key(size, steps, [step.step for step in steps], {})
    x = x_axis(tr("optimizer step"), format=",d", tickMinStep=1)
    drawn = line([row | {"series": series} for row in rows], key, x, tr("training loss (no unit)"), zero=False)
    return finished("loss", tr("Training loss"), [*bands(phases, key, x), *drawn])


def step_times(folder: Path, report: Report) -> Chart | None:
    """How many of the window's steps took how long: those of the first rank, of which the report's figures are."""
    mean = report.figures.get("step/mean_ms")
    rows = [row for row in read_rows(folder / "steps.csv") if row["rank"] == "0" and row["phase"] == "window"]
    told = [1e3 * float(row["seconds"]) for row in rows if row["samples"] != "0" and row["seconds"]]
    if not told or mean is None or mean.value is None:
        return None
    return distribution(
        told,
        report,
        "step/{}_ms",
        Chart(name="step_times", title=tr("Step times in the measured window"), spec={}),
        x_title=tr("step time (ms)"),
        y_title=tr("steps (count)"),
        series=tr("steps"),
    )


def distribution(
    values: Sequence[float], report: Report, names: str, about: Chart, *, x_title: str, y_title: str, series: str
) -> Chart:
    """A histogram with the quantiles that the report has of it.

    Args:
        values: in the unit of the figures.
        report: the run's.
        names: of the figures; `{}` stands for p50, p90, p99.
        about: name and title.
        x_title: with the unit.
        y_title: of the counts.
        series: what is counted, for the legend.
    """
    import altair

    bars = histogram(values, min(BARS, max(FEWEST_BARS, 2 * math.isqrt(len(values)))))
    marks = quantile_marks(report, names)
    key = Key({series: BLUE} | {row["series"]: row["color"] for row in marks})
    x = x_axis(x_title)
    y = y_axis("count", y_title, zero=True, labelExpr=WHOLE)
    told = [altair.Tooltip(f"{field}:Q", title=title, format=",.4~g") for field, title in _ends(x_title, y_title)]
    bar = altair.Chart(data([row | {"series": series} for row in bars.rows])).mark_bar(binSpacing=1)
    drawn = bar.encode(x=x.bin("binned"), x2="end:Q", y=y, color=key.color(), tooltip=told)
    note = tr(
        "{count} beyond the right edge are counted in the last bar; the largest is {value}.",
        count=bars.beyond,
        value=number(max(values)),
    )
    return finished(about.name, about.title, [drawn, *moments(marks, key, x)], note=note if bars.beyond else "")


def quantile_marks(report: Report, names: str) -> list[Row]:
    """Rows of `x`, `series` and `color` for each quantile that the report has."""
    rows = []
    for name, color in QUANTILES.items():
        found = report.figures.get(names.format(name))
        if found is not None and found.value is not None:
            value = f"{number(found.value)} {found.unit}"
            label = tr("{name}, mean of repeats: {value}", name=name, value=value)
            rows.append({"x": found.value, "series": label if found.interval else f"{name}: {value}", "color": color})
    return rows


def mean_of(size: int) -> str:
    """How the line of a binned series of steps is called."""
    return tr("each step") if size == 1 else tr("mean of {count} steps, with lowest and highest", count=size)


def _ends(x_title: str, y_title: str) -> list[tuple[str, str]]:
    return [("x", tr("from: {what}", what=x_title)), ("end", tr("to: {what}", what=x_title)), ("count", y_title)]


def _key(
    size: int, steps: Sequence[StepPoint], ends: Sequence[float], levels_: dict[str, str]
) -> tuple[str, list[Row], Key]:
    """The line's name, the phases' bands, and the legend of them all."""
    phases = _phases(steps, ends)
    colors = {tr("warm-up"): GREY, tr("measured window"): GREEN}
    shown = {name: color for name, color in colors.items() if any(row["series"] == name for row in phases)}
    return mean_of(size), phases, Key({mean_of(size): BLUE} | levels_ | shown)


def _phases(steps: Sequence[StepPoint], ends: Sequence[float]) -> list[Row]:
    """A band behind each stretch of warm-up and of measured steps, from the end of the step before it to its last's."""
    names = {"warmup": tr("warm-up"), "window": tr("measured window")}
    rows: list[Row] = []
    begin, index = 0.0, 0
    for phase, members in groupby(steps, key=lambda step: step.phase):
        index += len(list(members))
        if phase in names:
            rows.append({"x": begin, "end": ends[index - 1], "series": names[phase]})
        begin = ends[index - 1]
    return rows

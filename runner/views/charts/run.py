"""All charts of one run, from its folder's files and its report. A chart without data is not drawn."""

from __future__ import annotations

from pathlib import Path

from yaml import YAMLError

from runner.core.events import Name
from runner.messages import tr
from runner.record.report import Report
from runner.record.run_record import RunRecord, read_record
from runner.record.task import task_named
from runner.results.repeats import repeat_folders
from runner.views.charts import convergence, plan, published, requests, roofline, serving, traces, training
from runner.views.charts.parts.chart import Chart, marked_emulated, save
from runner.views.tables import emulated

FOLDER = "plots"


def run_charts(folder: Path, report: Report) -> list[Chart]:
    """The charts of a run in the order in which they are read; of repeats, each one's own under `<name>_repeat<n>`.

    Args:
        folder: the run's; one without files, as of an imported result, has only what the report itself tells.
        report: its report.
    """
    charts = []
    repeats = repeat_folders(folder)
    for part in repeats or [folder]:
        for chart in _of_part(part, report, alone=not repeats):
            if repeats:
                chart.name = f"{chart.name}_repeat{part.name}"
                chart.title = tr("{title}, repeat {number}", title=chart.title, number=part.name)
            charts.append(chart)
    charts += [chart for chart in (_roofline(report), published.published(report)) if chart is not None]
    return [marked_emulated(chart) for chart in charts] if emulated(report) else charts


def _roofline(report: Report) -> Chart | None:
    place = roofline.place_of(report, tr("this case"))
    return roofline.roofline([place], title=tr("Roofline")) if place else None


def _of_part(folder: Path, report: Report, *, alone: bool) -> list[Chart]:
    """The charts of one process's files."""
    told = _told(folder)
    case = told.case if told else None
    task = task_named(report.case.get("task"))
    found = training.charts(folder, report) if task is None or not task.serves else []
    found += convergence.charts(told, report) if told else []
    found += requests.charts(folder, report, case)
    found += traces.charts(folder, report)
    events = told.events if told else []
    points = [event.value for event in events if event.name == Name.POINT] or report.points
    found += serving.batch_sizes(points, report, case, window=alone)
    last = next((event.value for event in reversed(events) if event.name == Name.NUMERICS), {})
    found += [serving.numerics(last), serving.coverage(events)]
    found += plan.plan(next((event.value for event in reversed(events) if event.name == Name.PLAN), {}))
    return [chart for chart in found if chart is not None]


def _told(folder: Path) -> RunRecord | None:
    """What the run's processes told; null where there is no case of this version."""
    try:
        return read_record(folder)
    except (OSError, ValueError, YAMLError):
        return None


def draw(folder: Path, report: Report) -> list[Path]:
    """Save each chart as PNG and SVG into the run folder's `plots/`.

    Returns:
        The files.
    """
    # Another thread may be importing MLflow, and pandas with it: altair must not meet half of that.
    import pandas  # noqa: F401

    name = str(report.case.get("name") or "")
    return [
        path
        for chart in run_charts(folder, report)
        for path in save(chart, folder / FOLDER, emulated=emulated(report), subtitle=name)
    ]

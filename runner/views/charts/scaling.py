"""Scaling efficiency: the speed of n devices over n times that of one, of the same case."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from runner.messages import tr
from runner.views.charts.groups import ChartGroup, value
from runner.views.charts.parts.chart import PALETTE, Chart, Row, data, finished
from runner.views.charts.parts.layers import Key, levels, tooltip, x_axis, y_axis
from runner.views.comparable import RunResult

LAYOUT = "layout"
"""Key of a case: how its ranks share the work; one device has none, so it stands before runs of every layout."""
SHARE_A_BATCH = ("tensor", "pipeline")
"""Layouts whose ranks work on one batch: beside one device each has less to do, which is not weak scaling."""
SAME = ("vendor", "chip", "precision", "framework", "compiler", "batch_size", "gradient_accumulation_steps", "data")
"""Keys of a case that are equal in runs of one line, beside those of the group; the batch is that of a device."""
NAMED = ("group", *SAME, LAYOUT)
"""What a line's name is made of: of these, those that are not the same in all lines."""
SPEED = "throughput/steady"
MOST_LINES = len(PALETTE)


def scaling(groups: Sequence[ChartGroup]) -> Chart | None:
    """A line for each case that was run on one device and on more; null where none was.

    Against the mean of the runs on one device that are shown; a run's own `scaling/efficiency` is against the newest
    one when it began. Emulated runs share one processor and scale nothing.
    """
    import altair

    lines = _lines(groups)
    if not lines:
        return None
    colors = dict(zip((name for name, _ in lines[:MOST_LINES]), PALETTE, strict=False))
    rows: list[Row] = [point | {"series": name} for name, points in lines[:MOST_LINES] for point in points]
    ideal = tr("linear scaling: 100 %")
    key = Key(colors | {ideal: "#5b616b"})
    counts = sorted({row["x"] for row in rows})
    x = x_axis(tr("devices (count)"), scale=altair.Scale(type="log", base=2, nice=False), values=counts, format=",d")
    y = y_axis("efficiency", tr("scaling efficiency (%)"), zero=True)
    base = altair.Chart(data(rows)).mark_line(strokeWidth=1.8, point={"size": 48})
    said = [*tooltip(tr("devices"), "efficiency", tr("efficiency (%)")), altair.Tooltip("said:N", title=tr("speed"))]
    drawn = base.encode(x=x, y=y, color=key.color(), tooltip=said)
    note = tr("Speed of n devices ÷ (n x speed of one device) with the same batch on each device.")
    if len(lines) > MOST_LINES:
        note += " " + tr("{count} further cases are not drawn.", count=len(lines) - MOST_LINES)
    layers = [*levels([{"efficiency": 100.0, "series": ideal}], key, y), drawn]
    return finished("scaling", tr("Scaling efficiency"), layers, note=note)


def _lines(groups: Sequence[ChartGroup]) -> list[tuple[str, list[Row]]]:
    """Name and points of each line; the names say what tells them apart."""
    found = [(named, points) for group in groups if not group.emulated for named, points in _of_group(group)]
    differing = [place for place in range(len(NAMED)) if len({named[place] for named, _ in found}) > 1] or [
        NAMED.index(name) for name in ("chip", "precision")
    ]
    return [(" · ".join(named[place] for place in differing), points) for named, points in found]


def _of_group(group: ChartGroup) -> list[tuple[tuple[str, ...], list[Row]]]:
    cases: dict[tuple[str, ...], list[RunResult]] = {}
    for run in group.runs:
        if value(run.report, SPEED) is not None and not run.report.imported and run.report.status == "done":
            cases.setdefault(tuple(str(run.report.case.get(key)) for key in SAME), []).append(run)
    lines = []
    for key, members in cases.items():
        alone = [speed for run in members if _devices(run) == 1 and (speed := value(run.report, SPEED))]
        for layout in sorted(set(map(_layout, members))) if alone else ():
            jobs = [run for run in members if _layout(run) == layout and _devices(run) > 1]
            if not jobs or any(shared in layout for shared in SHARE_A_BATCH):
                continue
            one, single = statistics.fmean(alone), [run for run in members if _devices(run) == 1]
            told = dict(zip(SAME, key, strict=True)) | {"group": group.title, LAYOUT: layout}
            told["batch_size"] = tr("batch {size}", size=told["batch_size"])
            points = sorted((_point(run, one) for run in [*single, *jobs]), key=lambda row: row["x"])
            lines.append((tuple(told[name] for name in NAMED), points))
    return lines


def _layout(run: RunResult) -> str:
    """The axes of a layout without their sizes, which grow with the devices: `fsdp, tensor`."""
    return ", ".join(part.split(" ")[0] for part in str(run.report.case.get(LAYOUT) or "data").split(", "))


def _devices(run: RunResult) -> int:
    devices = run.report.case.get("devices")
    return devices if isinstance(devices, int) else 0


def _point(run: RunResult, one: float) -> Row:
    figure = run.report.figures[SPEED]
    assert figure.value is not None
    devices = _devices(run)
    said = f"{figure.value:,.4g} {figure.unit}"
    return {"x": devices, "efficiency": 100 * figure.value / (devices * one), "said": said}

"""A plan's layouts over the number of devices: least step time and memory of the best of each kind, at one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.messages import tr
from runner.views.charts.parts.chart import GREY, PALETTE, Chart, Row, data, finished
from runner.views.charts.parts.layers import Key, levels, x_axis, y_axis

KINDS = ("data", "fsdp", "tensor", "pipeline", "tensor and pipeline")
"""Of layouts, as `runner.planning.table.kind_of` tells them; each has its colour whichever are there."""


def plan(told: Mapping[str, Any]) -> list[Chart | None]:
    """Both charts of what `task=inspect` told; none of a plan without layouts that fit.

    Args:
        told: of the event PLAN.
    """
    rows = told.get("rows") or []
    if len({row["devices"] for row in rows}) < 2:  # noqa: PLR2004 -- a line has two points
        return []
    note = tr(
        "The best layout of each kind that fits, at {samples} examples a step whatever the number of devices.",
        samples=f"{told['samples']:,}",
    )
    return [_step_time(rows, note), _memory(rows, float(told["memory_gib"]), note)]


def _step_time(rows: Sequence[Mapping[str, Any]], note: str) -> Chart:
    import altair

    y = y_axis("step_s", tr("least step time (s)"), zero=False, scale=altair.Scale(type="log", nice=True), format="~g")
    bound = tr("A bound: products at the dense peak, links and network at their rates.")
    layers = _lines(rows, y, {})
    return finished("plan_step_time", tr("Least step time by number of devices"), layers, note=f"{note} {bound}")


def _memory(rows: Sequence[Mapping[str, Any]], memory_gib: float, note: str) -> Chart:
    y = y_axis("memory_gib", tr("memory of the fullest device (GiB)"), zero=True)
    layers = _lines(rows, y, {tr("memory of the chip"): memory_gib})
    return finished("plan_memory", tr("Memory by number of devices"), layers, note=note)


def _lines(rows: Sequence[Mapping[str, Any]], y: Any, limits: Mapping[str, float]) -> list[Any]:
    """A line for each kind of layout, and a level for each limit of memory, in GiB."""
    import altair

    there = {row["kind"] for row in rows}
    names = {kind: tr(kind) for kind in KINDS}
    colors = {names[kind]: color for kind, color in zip(KINDS, PALETTE, strict=False) if kind in there}
    key = Key(colors | dict.fromkeys(limits, GREY))
    points: list[Row] = [{**row, "x": row["devices"], "series": names[row["kind"]]} for row in rows]
    counts = sorted({row["x"] for row in points})
    x = x_axis(tr("devices (count)"), scale=altair.Scale(type="log", base=2, nice=False), values=counts, format=",d")
    said = [
        altair.Tooltip("x:Q", title=tr("devices"), format=",d"),
        altair.Tooltip("layout:N", title=tr("layout")),
        altair.Tooltip("step_s:Q", title=tr("least step time (s)"), format=",.4~g"),
        altair.Tooltip("memory_gib:Q", title=tr("GiB"), format=",.4~g"),
    ]
    base = altair.Chart(data(points)).mark_line(strokeWidth=1.8, point={"size": 48})
    drawn = base.encode(x=x, y=y, color=key.color(), tooltip=said)
    heights: list[Row] = [{"memory_gib": height, "series": name} for name, height in limits.items()]
    return [*levels(heights, key, y), drawn]

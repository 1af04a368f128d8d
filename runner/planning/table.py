"""The rows of a plan: layouts that fit, the best first, and how the best of each kind fare on fewer devices."""

from __future__ import annotations

from typing import Any

from runner.planning.layout import JobLayout
from runner.planning.model_costs import ModelCosts
from runner.planning.network import JobDevices
from runner.planning.search import PlannedLayout, device_counts, fitting_layouts
from runner.planning.step_time import Overlap, StepTime
from runner.record.values import GIB

Row = dict[str, Any]


def layout_rows(planned: list[PlannedLayout], most: int) -> list[Row]:
    """A row for each of the first `most` layouts, of plain values."""
    return [_row(one) for one in planned[:most]]


def _row(one: PlannedLayout) -> Row:
    layout, time = one.layout, one.time
    return {
        **{name: getattr(layout, name) for name in ("data", "fsdp", "tensor", "pipeline")},
        "micro_batch": layout.micro_batch,
        "passes": layout.micro_batches,
        "recomputation": layout.recomputation,
        "memory_gib": one.bytes / GIB,
        "step_ms": _ms(time.known),
        "compute_ms": _ms(time.compute),
        "bubble_ms": _ms(time.bubble),
        "link_ms": _ms(time.link),
        "network_ms": _ms(time.network),
        "limit": limit_of(time),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def limit_of(time: StepTime) -> str | None:
    """What takes longest: computing with its bubble, links or network, as far as they are known."""
    busy = None if time.compute is None or time.bubble is None else time.compute + time.bubble
    parts = {"compute": busy, "link": time.link, "network": time.network}
    told = {name: seconds for name, seconds in parts.items() if seconds is not None}
    return max(told, key=lambda name: told[name]) if told else None


def kind_of(layout: JobLayout) -> str:
    """By which axis a layout stands out, for a chart with few lines."""
    if layout.tensor > 1 and layout.pipeline > 1:
        return "tensor and pipeline"
    for name in ("pipeline", "tensor", "fsdp"):
        if getattr(layout, name) > 1:
            return name
    return "data"


def scaling_rows(
    costs: ModelCosts, cluster: JobDevices, *, samples: int, overlap: Overlap, sequence_parallel: bool
) -> list[Row]:
    """The best layout of each kind that fits, on the cluster and on each half of a half of it, with the same batch."""
    rows: list[Row] = []
    for smaller in reversed(device_counts(cluster)):
        seen: set[str] = set()
        options: dict[str, Any] = {"overlap": overlap, "sequence_parallel": sequence_parallel}
        for one in fitting_layouts(costs, smaller, samples=samples, **options):
            kind = kind_of(one.layout)
            if kind not in seen and one.time.known is not None:
                seen.add(kind)
                row: Row = {"devices": smaller.devices, "kind": kind, "step_s": one.time.known}
                rows.append(row | {"memory_gib": one.bytes / GIB, "layout": in_words(one.layout)})
    return rows


def in_words(layout: JobLayout) -> str:
    """A layout in a line."""
    axes = [f"{name} {getattr(layout, name)}" for name in ("data", "fsdp", "tensor", "pipeline")]
    cut = f"{layout.micro_batches} x {layout.micro_batch}"
    again = "" if layout.recomputation == "none" else f", recomputation {layout.recomputation}"
    return f"{', '.join(axes)}, passes {cut}{again}"

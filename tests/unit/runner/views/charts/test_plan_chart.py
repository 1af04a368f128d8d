"""The charts of a plan."""

from __future__ import annotations

from typing import Any

from runner.views.charts.plan import plan


def row(devices: int, kind: str, step_s: float) -> dict[str, Any]:
    return {"devices": devices, "kind": kind, "step_s": step_s, "memory_gib": 40.0, "layout": "fsdp 8"}


TOLD = {
    "samples": 4096,
    "memory_gib": 80.0,
    "rows": [row(8, "fsdp", 4.0), row(16, "fsdp", 2.0), row(16, "tensor", 2.5)],
}


def test_a_line_for_each_kind_over_the_devices() -> None:
    time, memory = (chart for chart in plan(TOLD) if chart is not None)
    assert (time.name, memory.name) == ("plan_step_time", "plan_memory")
    values = time.spec["data"]["values"]
    assert [(one["x"], one["series"], one["step_s"]) for one in values] == [
        (8, "fsdp", 4.0),
        (16, "fsdp", 2.0),
        (16, "tensor", 2.5),
    ]
    assert "4,096 examples" in time.note and "bound" in time.note


def test_the_chips_memory_is_a_level() -> None:
    memory = plan(TOLD)[1]
    assert memory is not None
    level = memory.spec["layer"][0]["data"]["values"]
    assert level == [{"memory_gib": 80.0, "series": "memory of the chip"}]


def test_one_number_of_devices_is_no_line() -> None:
    assert plan({}) == []
    assert plan(TOLD | {"rows": [row(8, "fsdp", 4.0)]}) == []

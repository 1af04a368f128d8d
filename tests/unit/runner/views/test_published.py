"""What others published: the nearest first, each beside our own figure of the same meaning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from report_samples import report

from runner.views.published import SHOWN, nearest, published_grid


def figure(**changes: Any) -> dict[str, Any]:
    row = {"chip": "A100-SXM4-40GB", "devices": 8, "precision": "tf32", "figure": "throughput/core", "value": 800.0}
    return row | {"per": "job", "source": "somebody"} | changes


def made(*published: dict[str, Any]) -> Any:
    one = report(values={"throughput/core": 400.0})
    case = one.case | {"chip": "A100 SXM 40GB", "precision": "bf16", "devices": 4}
    return replace(one, published=list(published), case=case)


def test_same_chip_then_precision_then_devices_come_first() -> None:
    rows = [
        figure(source="far", chip="H100 SXM 80GB", precision="bf16", devices=4),
        figure(source="many", precision="bf16", devices=64),
        figure(source="other precision", devices=4),
        figure(source="near", precision="bf16", devices=8),
    ]
    assert [row["source"] for row in nearest(made(*rows))] == ["near", "many", "other precision", "far"]
    assert len(nearest(made(*rows, *rows))) == SHOWN


def test_a_figure_per_device_stands_beside_ours_per_device() -> None:
    whole, each = published_grid(made(figure(), figure(per="device", value=100.0, devices=16))).rows
    assert (whole[1], whole[2], whole[3].endswith("per device")) == ("800.0", "400.0", False)
    assert (each[1], each[2], each[3].endswith("per device")) == ("100.0", "100.0", True)


def test_what_was_not_measured_here_is_no_number() -> None:
    (row,) = published_grid(made(figure(figure="time/to_target_s"))).rows
    assert row[2] == "-"

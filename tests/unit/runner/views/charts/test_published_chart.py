"""Published results beside the measured one, read back from the specification."""

from __future__ import annotations

import pytest
from chart_reading import axis_titles, legend, rows_of
from report_samples import report

from runner.record.report import Report
from runner.views.charts.parts.chart import Chart
from runner.views.charts.published import published


def item(**changes) -> dict:
    plain = {"chip": "A100-SXM4-40GB", "devices": 8, "precision": "fp16", "figure": "throughput/core", "value": 600}
    return plain | {"source": "FlagPerf"} | changes


def made(*items: dict, value: float = 592.0, **changes) -> Report:
    about = {"precision": "fp16", "devices": 8} | changes
    one = report(values={"throughput/core": value}, **about)
    one.published = list(items)
    return one


def bars(chart: Chart | None) -> dict[str, tuple[float, str]]:
    assert chart is not None
    return {row["label"]: (pytest.approx(row["value"]), row["series"]) for row in rows_of(chart) if "label" in row}


def test_jobs_and_devices_stand_side_by_side_as_rates_of_a_device() -> None:
    chart = published(made(item(), item(devices=1, value=81.2, per="device", precision="bf16", source="MPT")))
    assert bars(chart) == {
        "81.20 sequences/s · 1 x A100-SXM4-40GB, bf16 · MPT": (81.2, "published, another precision"),
        "75.00 sequences/s · 8 x A100-SXM4-40GB, fp16 · FlagPerf": (75.0, "published, same precision"),
        "74.00 sequences/s · 8 x A100-SXM4-40GB, fp16 · measured here": (74.0, "measured here"),
    }
    assert chart is not None and list(bars(chart)) == [row["label"] for row in rows_of(chart) if "label" in row]
    assert axis_titles(chart)[0] == "Throughput, waiting for data excluded too (sequences/s per device)"
    assert len(set(legend(chart).values())) == 3


def test_an_interval_is_divided_as_its_value_is() -> None:
    chart = published(made(item(), intervals={"throughput/core": (560.0, 624.0)}))
    assert chart is not None
    (row,) = [row for row in rows_of(chart) if row.get("low") and row["series"] == "measured here"]
    assert (row["low"], row["high"]) == (70.0, 78.0)


def test_a_ratio_is_not_divided_by_devices() -> None:
    one = report(task="converge", devices=8)
    one.published = [item(figure="quality/mlm_accuracy", value=0.7), item(figure="quality/mlm_accuracy", per="device")]
    chart = published(one)
    assert chart is not None
    assert [row["value"] for row in rows_of(chart) if "label" in row] == [0.7, 0.23123]
    assert axis_titles(chart)[0] == "mlm_accuracy, best evaluation (no unit)"


def test_another_figure_is_never_beside_it() -> None:
    chart = published(made(item(figure="throughput/whole", value=9999.0), item()))
    assert chart is not None and {row["value"] for row in rows_of(chart)} == {74.0, 75.0}


@pytest.mark.parametrize(
    "one",
    [
        made(),
        made(item(figure="throughput/train")),
        made(item(value=None)),
        made(item(), emulated=True),
    ],
)
def test_without_both_or_emulated_there_is_no_chart(one: Report) -> None:
    assert published(one) is None


def test_a_failed_run_is_not_compared() -> None:
    one = made(item())
    one.status = "failed"
    assert published(one) is None

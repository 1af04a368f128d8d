"""The roofline and the published results, read back from the specification."""

from __future__ import annotations

import pytest
from chart_reading import axis_titles, legend, rows_of, series, texts
from report_samples import report

from runner.record.report import Report
from runner.views.charts.parts.chart import Chart
from runner.views.charts.roofline import place_of, roofline

# 8 A100 40GB: a device has 312 TFLOP/s and 1,555 GB/s; 124.8 TFLOP/s are 40 % of it, at 0.1 of its bandwidth.
VALUES = {
    "compute/achieved_flops_per_second": 8 * 124.8e12,
    "compute/peak_flops_per_second": 8 * 312e12,
    "compute/mbu": 0.1,
}


def made(**changes) -> Report:
    about = {"chip": "A100-SXM4-40GB", "precision": "fp16", "devices": 8} | changes
    return report(values=about.pop("values", VALUES), **about)


def drawn(*reports: Report) -> Chart:
    places = [place for number, one in enumerate(reports) if (place := place_of(one, f"case {number}"))]
    chart = roofline(places, title="Roofline")
    assert chart is not None
    return chart


def test_a_case_lies_at_its_intensity_and_its_rate_of_one_device() -> None:
    chart = drawn(made())
    (point,) = [row for row in rows_of(chart) if row.get("label") == "case 0"]
    assert point["x"] == pytest.approx(124.8e12 / (0.1 * 1555e9))
    assert point["rate"] == pytest.approx(124.8e12)
    assert point["share"] == pytest.approx(0.4)
    assert texts(chart) == ["case 0: 124.8 TFLOP/s, 40.0 %"]
    assert axis_titles(chart) == ("arithmetic intensity (FLOP/byte), of the least traffic", "FLOP/s per device")


def test_the_roof_is_the_data_sheets() -> None:
    chart = drawn(made())
    (name,) = legend(chart)
    assert name == "A100 SXM 40GB, fp16: 312.0 TFLOP/s"
    assert "Bandwidth: A100 SXM 40GB 1,555 GB/s." in chart.note
    low, ridge, high = [row for row in series(chart, name) if "label" not in row]
    assert (ridge["x"], ridge["rate"]) == (pytest.approx(312e12 / 1555e9), 312e12)
    assert low["rate"] == pytest.approx(low["x"] * 1555e9) and high["rate"] == 312e12


def test_below_the_ridge_the_bandwidth_is_the_roof() -> None:
    # 15.55 TFLOP/s at half of the bandwidth: 20 FLOP/byte, where 31.1 TFLOP/s are allowed.
    values = VALUES | {"compute/achieved_flops_per_second": 8 * 15.55e12, "compute/mbu": 0.5}
    (point,) = [row for row in rows_of(drawn(made(values=values))) if row.get("label")]
    assert point["x"] == pytest.approx(20) and point["share"] == pytest.approx(0.5)


def test_a_measured_peak_is_a_level_of_one_device() -> None:
    values = VALUES | {"compute/measured_peak_flops_per_second": 8 * 250e12}
    rows = series(drawn(made(values=values)), "peak measured by runner.peaks")
    assert {row["rate"] for row in rows} == {250e12}
    assert rows[0]["x"] == pytest.approx(250e12 / 1555e9)


@pytest.mark.parametrize("missing", sorted(VALUES))
def test_without_any_part_there_is_no_place(missing: str) -> None:
    assert place_of(made(values={k: v for k, v in VALUES.items() if k != missing}, without=(missing,)), "x") is None


def test_an_unknown_chip_and_an_emulated_run_have_no_place() -> None:
    assert place_of(made(chip="Some CPU"), "x") is None
    assert place_of(made(emulated=True), "x") is None
    assert roofline([], title="Roofline") is None


def test_each_chip_and_precision_has_a_roof_of_its_own() -> None:
    other = VALUES | {"compute/peak_flops_per_second": 8 * 989e12}
    chart = drawn(made(), made(devices=8, precision="bf16"), made(chip="H100 SXM 80GB", values=other))
    assert [name.partition(":")[0] for name in legend(chart)] == [
        "A100 SXM 40GB, fp16", "A100 SXM 40GB, bf16", "H100 SXM 80GB, fp16"
    ]  # fmt: skip

"""Power, clocks, utilisation and temperature over time, read back from the specification."""

from __future__ import annotations

from pathlib import Path

import pytest
from chart_reading import axis_titles, legend, series
from plot_samples import write_power
from report_samples import report

from hardware.sampling.trace_file import TraceRow, TraceWriter
from runner.views.charts.parts.chart import Chart
from runner.views.charts.traces import charts

DEVICE = {"meter": "nvml", "scope": "device"}


def by_name(folder: Path, made=None) -> dict[str, Chart]:
    return {chart.name: chart for chart in charts(folder, made or report()) if chart}


def trace(folder: Path, *rows: dict) -> None:
    writer = TraceWriter(folder / "power.csv")
    for row in rows:
        writer.write(
            TraceRow(unix_s=row["monotonic_s"], **({} if "mark" in row else DEVICE | {"source": "GPU-1"}) | row)
        )
    writer.close()


def mark(second: float, name: str) -> dict:
    return {"monotonic_s": second, "meter": "sampler", "mark": name}


def test_power_with_window_idle_and_target(tmp_path: Path) -> None:
    write_power(tmp_path)
    power = by_name(tmp_path, report(values={"power/device_mean_w": 619.5}))["power"]
    assert [(row["x"], row["end"]) for row in series(power, "measured window")] == [(13.0, 22.0), (24.0, 34.0)]
    assert [(row["x"], row["end"]) for row in series(power, "idle")] == [(2.0, 6.0)]
    assert [row["x"] for row in series(power, "target reached")] == [34.5]
    assert [row["mean"] for row in series(power, "mean in the window: 619.5 W")] == [619.5]
    rows = series(power, "device: GPU-5f2c (nvml)")
    assert min(row["low"] for row in rows) == 75.0 and max(row["high"] for row in rows) > 644
    assert axis_titles(power) == ("time (s)", "power (W)")


def test_no_mean_is_taken_across_an_edge_of_the_window(tmp_path: Path) -> None:
    readings = [{"monotonic_s": 100 + i / 10, "power_w": 500.0 if 100 <= i <= 600 else 50.0} for i in range(1000)]
    trace(tmp_path, mark(110.0, "segment_begin:0"), mark(160.0, "segment_end:0"), *readings)
    rows = series(by_name(tmp_path)["power"], "device: GPU-1 (nvml)")
    assert {row["mean"] for row in rows if 10 <= row["x"] <= 60} == {500.0}
    assert {row["mean"] for row in rows if row["x"] < 10 or row["x"] > 60} == {50.0}
    assert {row["high"] - row["low"] for row in rows} == {0.0}


def test_throttling_is_marked_from_its_first_reading_to_the_next_without(tmp_path: Path) -> None:
    words = ["", "hw_thermal_slowdown", "hw_thermal_slowdown", "", "gpu_idle", "sw_power_cap"]
    rows = [{"monotonic_s": 10.0 + i, "clock_mhz": 1000.0 + i, "throttle": word} for i, word in enumerate(words)]
    trace(tmp_path, *rows, {"monotonic_s": 16.0, "clock_mhz": 1006.0})
    clocks = by_name(tmp_path)["clocks"]
    assert [(row["x"], row["end"]) for row in series(clocks, "throttled")] == [(1.0, 3.0), (5.0, 6.0)]
    assert axis_titles(clocks) == ("time (s)", "clock (MHz)")


def test_each_column_that_was_told_has_its_chart(tmp_path: Path) -> None:
    told = {"temperature_c": 61.0, "utilisation": 0.5, "memory_used_bytes": 3 * 2**30}
    trace(tmp_path, *({"monotonic_s": 10.0 + i} | told for i in range(3)))
    found = by_name(tmp_path)
    assert list(found) == ["utilisation", "temperature", "memory"]
    values = {name: series(chart, "device: GPU-1 (nvml)")[0]["mean"] for name, chart in found.items()}
    assert values == {"utilisation": 50.0, "temperature": 61.0, "memory": 3.0}
    assert [axis_titles(chart)[1] for chart in found.values()] == [
        "utilisation (%)", "temperature (°C)", "memory in use (GiB)"
    ]  # fmt: skip


def test_many_devices_are_one_band_of_all(tmp_path: Path) -> None:
    rows = [{"monotonic_s": 10.0 + i, "source": f"GPU-{n}", "power_w": 100.0 + n} for i in range(3) for n in range(8)]
    trace(tmp_path, *rows)
    power = by_name(tmp_path, report(values={"power/device_mean_w": 828.0}))["power"]
    (name,) = legend(power)
    assert name == "8 sources of device", "the sum of all is not on a line of one of them"
    assert [(row["low"], row["mean"], row["high"]) for row in series(power, name)] == [(100.0, 103.5, 107.0)] * 3


def test_a_trace_that_is_none_is_not_drawn(tmp_path: Path) -> None:
    assert by_name(tmp_path) == {}
    (tmp_path / "power.csv").write_text("another,table\n")
    assert by_name(tmp_path) == {}


@pytest.mark.parametrize("end", ["", "segment_end:1"])
def test_a_segment_that_did_not_end_is_not_shaded(tmp_path: Path, end: str) -> None:
    marks = [mark(11.0, "segment_begin:0"), *([mark(12.0, end)] if end else [])]
    trace(tmp_path, *marks, *({"monotonic_s": 10.0 + i, "power_w": 5.0} for i in range(4)))
    assert list(legend(by_name(tmp_path)["power"])) == ["device: GPU-1 (nvml)"]

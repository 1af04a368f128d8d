"""Charts of a set: what shares an axis, what is left out, and the numbers in the bars."""

from __future__ import annotations

from pathlib import Path

import pytest
from chart_reading import axis_titles, legend, rows_of, series, texts
from report_samples import failed, report

from runner.record.report import Report
from runner.views.charts.parts.chart import Chart
from runner.views.charts.several import MOST_BARS, set_charts
from runner.views.comparable import RunResult

STEADY = "throughput/steady"


def runs(*reports: Report) -> list[RunResult]:
    return [RunResult(report=made, folder=Path(f"outputs/run{number}")) for number, made in enumerate(reports)]


def by_name(*reports: Report) -> dict[str, Chart]:
    charts = set_charts(runs(*reports))
    assert len({chart.name for chart in charts}) == len(charts), "a name is a file and an anchor"
    return {chart.name: chart for chart in charts}


def speed(value: float, **changes) -> Report:
    return report(values={STEADY: value} | changes.pop("values", {}), **changes)


def bars(chart: Chart) -> dict[str, float]:
    return {row["label"]: row["value"] for row in rows_of(chart) if "label" in row}


def test_bars_are_sorted_and_say_what_differs() -> None:
    chart = by_name(speed(100.0, precision="fp32"), speed(260.0, precision="bf16"), speed(180.0, precision="fp16"))[
        "speed_bert_train"
    ]
    assert list(bars(chart).items()) == [
        ("260.0 sequences/s · A100-SXM4-40GB · bf16", 260.0),
        ("180.0 sequences/s · A100-SXM4-40GB · fp16", 180.0),
        ("100.0 sequences/s · A100-SXM4-40GB · fp32", 100.0),
    ]
    assert axis_titles(chart)[0] == "Throughput, steady (sequences/s), higher is better"
    assert list(legend(chart)) == ["measured"]


def test_where_less_is_better_the_least_is_on_top() -> None:
    def latency(value: float) -> Report:
        made = report(task="train")
        made.case |= {"task": "infer", "load": "single_stream", "model": "resnet50"}
        made.figures = {"infer/latency_p50_ms": made.figures["step/p50_ms"]}
        made.figures["infer/latency_p50_ms"].value = value
        return made

    chart = by_name(latency(9.0), latency(5.0))["speed_resnet50_infer_single_stream_batch_24"]
    assert list(bars(chart).values()) == [5.0, 9.0]
    assert axis_titles(chart)[0] == "Latency, median (ms), lower is better"


def test_latencies_of_two_batch_sizes_never_share_an_axis() -> None:
    made = []
    for size in (1, 1, 8, 8):
        one = report(batch_size=size)
        one.case |= {"task": "infer", "load": "single_stream"}
        one.figures = {"infer/latency_p50_ms": one.figures["step/p50_ms"]}
        made.append(one)
    assert sorted(by_name(*made)) == [
        "speed_bert_infer_single_stream_batch_1",
        "speed_bert_infer_single_stream_batch_8",
    ]


@pytest.mark.parametrize(
    "changes",
    [{"model": "resnet50", "unit": "images"}, {"scale": "tiny"}, {"data": "synthetic"}, {"unit": "tokens"}],
)
def test_unlike_cases_never_share_an_axis(changes: dict) -> None:
    other = [speed(1.0, **changes), speed(2.0, **changes)]
    charts = [chart for name, chart in by_name(speed(100.0), speed(90.0), *other).items() if name.startswith("speed")]
    assert sorted(sorted(bars(chart).values()) for chart in charts) == [[1.0, 2.0], [90.0, 100.0]]


def test_a_figure_in_another_unit_is_not_drawn_with_the_others() -> None:
    odd = speed(4_000_000.0)
    odd.figures[STEADY].unit = "tokens/s"
    chart = by_name(speed(100.0), speed(90.0), odd)["speed_bert_train"]
    assert sorted(bars(chart).values()) == [90.0, 100.0] and "Without 1 runs" in chart.note


def test_emulated_runs_stand_apart_hollow_and_named() -> None:
    charts = by_name(speed(100.0), speed(90.0), speed(3.0, emulated=True), speed(2.0, emulated=True, vendor="amd"))
    real, emulated = charts["speed_bert_train"], charts["speed_bert_train_2"]
    assert sorted(bars(real).values()) == [90.0, 100.0]
    assert list(bars(emulated)) == [
        "3.000 sequences/s · EMULATED nvidia · fp32",
        "2.000 sequences/s · EMULATED amd · fp32",
    ]
    assert emulated.title.startswith("EMULATED") and list(legend(emulated)) == ["EMULATED on the host CPU"]
    marks = [layer["mark"] for layer in emulated.spec["layer"]]
    assert marks[0]["fillOpacity"] < 0.2 and marks[0]["strokeDash"]
    assert "EMULATED" in [layer["encoding"].get("text", {}).get("value") for layer in emulated.spec["layer"]]


def test_failed_runs_are_counted_and_never_drawn_as_nothing() -> None:
    half = speed(50.0)
    half.status, half.exit_code = "failed", 10
    chart = by_name(speed(100.0), speed(90.0), failed(), half)["speed_bert_train"]
    assert sorted(bars(chart).values()) == [90.0, 100.0]
    assert chart.note == "Without 2 runs that failed or did not measure this."


def test_a_missed_target_is_drawn_and_marked() -> None:
    missed = speed(120.0, task="converge")
    missed.status, missed.exit_code = "failed", 8
    chart = by_name(speed(100.0, task="converge"), missed)["speed_bert_converge"]
    assert [row["value"] for row in series(chart, "quality target missed")] == [120.0]


def test_imported_results_stand_with_their_model_and_are_marked() -> None:
    theirs = speed(600.0, data=None, scale=None)
    theirs.imported = {"format": "flagperf", "version": "1", "file": "rank0.log", "sha256": "0" * 64}
    chart = by_name(theirs, speed(100.0), speed(90.0, scale="tiny"))["speed_bert_train"]
    assert [row["value"] for row in series(chart, "imported: measured by another tool")] == [600.0]
    assert sorted(bars(chart).values()) == [100.0, 600.0], "never beside a tiny one"
    assert "imported from flagperf" in next(iter(bars(chart)))


def test_intervals_are_whiskers() -> None:
    chart = by_name(speed(100.0, intervals={STEADY: (95.0, 105.0)}), speed(90.0))["speed_bert_train"]
    (row,) = series(chart, "95 % interval over repeats")
    assert (row["low"], row["high"]) == (95.0, 105.0)


def test_equal_labels_are_told_apart_by_their_folders() -> None:
    assert list(bars(by_name(speed(100.0), speed(90.0))["speed_bert_train"])) == [
        "100.0 sequences/s · A100-SXM4-40GB · fp32 · run0", "90.00 sequences/s · A100-SXM4-40GB · fp32 · run1"
    ]  # fmt: skip


def test_of_many_runs_the_best_are_drawn() -> None:
    chart = by_name(*(speed(float(value)) for value in range(1, 3001)))["speed_bert_train"]
    assert len(bars(chart)) == MOST_BARS and max(bars(chart).values()) == 3000
    assert chart.note == "The best 30 of 3000 runs."


def test_scaling_is_against_the_run_on_one_device() -> None:
    made = [speed(100.0), speed(190.0, devices=2, topology="node"), speed(720.0, devices=8, topology="node")]
    other = [speed(500.0, precision="bf16", devices=8), speed(90.0, precision="bf16", devices=1, batch_size=48)]
    chart = by_name(*made, *other, speed(1.0, emulated=True), speed(9.0, emulated=True, devices=4))["scaling"]
    points = [row for row in rows_of(chart) if "x" in row and "said" in row]
    assert [(row["x"], row["efficiency"]) for row in points] == [(1, 100.0), (2, 95.0), (8, 90.0)]
    assert len(legend(chart)) == 2, "without a run on one device with the same batch there is no line"
    assert axis_titles(chart) == ("devices (count)", "scaling efficiency (%)")


def test_each_layout_scales_by_itself_and_one_that_shares_a_batch_not_at_all() -> None:
    """An `fsdp 8` continues the line of `fsdp 2`: the sizes grow with the devices."""
    sharded = [speed(150.0, devices=2, layout="fsdp 2"), speed(480.0, devices=8, layout="fsdp 8")]
    made = [speed(100.0, layout="data"), speed(190.0, devices=2, layout="data"), *sharded]
    chart = by_name(*made, speed(120.0, devices=2, layout="tensor 2"), speed(1.0, devices=4, layout="fsdp 2, tensor 2"))
    points = [(row["series"], row["x"], row["efficiency"]) for row in rows_of(chart["scaling"]) if "said" in row]
    assert points == [
        *(("data", 1, 100.0), ("data", 2, 95.0)),
        *(("fsdp", 1, 100.0), ("fsdp", 2, 75.0), ("fsdp", 8, 60.0)),
    ]


def test_no_run_on_one_device_is_no_scaling() -> None:
    assert "scaling" not in by_name(speed(190.0, devices=2), speed(720.0, devices=8))


def test_speed_against_measured_energy_by_vendor() -> None:
    joules = {"energy/per_sample_j": 2.5}
    made = [speed(100.0, values=joules), speed(300.0, vendor="amd", values={"energy/per_sample_j": 1.5}), speed(50.0)]
    chart = by_name(*made)["energy_bert_train"]
    points = {row["series"]: (row["x"], row["speed"]) for row in rows_of(chart) if "label" in row}
    assert points == {"nvidia": (2.5, 100.0), "amd": (1.5, 300.0)}, "no energy is no point, and never 0 J"
    assert axis_titles(chart) == ("energy per sample (J/sample), lower is better", "Throughput, steady (sequences/s)")
    assert "energy_bert_train" not in by_name(made[0], made[2])


def test_quality_beside_speed() -> None:
    made = [
        speed(100.0, task="converge", precision="fp32", values={"quality/mlm_accuracy": 0.74}),
        speed(250.0, task="converge", precision="bf16", values={"quality/mlm_accuracy": 0.73}),
    ]
    chart = by_name(*made)["quality_bert_converge"]
    points = {row["series"]: (row["x"], row["speed"]) for row in rows_of(chart) if "label" in row}
    assert points == {"fp32": (100.0, 0.74), "bf16": (250.0, 0.73)}
    assert len(texts(chart)) == 2


def test_a_single_run_has_its_bar_where_there_is_nothing_else() -> None:
    assert list(by_name(speed(100.0), speed(7.0, model="resnet50"))) == ["speed_bert_train", "speed_resnet50_train"]
    assert set_charts([]) == [] and set_charts(runs(failed(), failed())) == []

"""ByteMLPerf's JSON: what means the same is taken over, its known defects are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.core.errors import ConfigurationError
from runner.record.report import Report

Imports = Callable[..., list[Report]]


def test_the_fastest_batch_is_the_figure_and_all_are_points(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "bytemlperf" / "HPU")
    assert [report.case[key] for key in ("model", "vendor", "precision", "devices", "batch_size")] == [
        *("resnet50", "habana", "bf16", 1, 32)
    ]
    assert report.figures["infer/samples_per_second"].value == 8000.0
    assert report.figures["infer/samples_per_second"].unit == "images/s"
    assert report.figures["infer/latency_mean_ms"].value == 4.0
    assert report.figures["accuracy/top1"].value == 0.7625
    assert [point["batch_size"] for point in report.points] == [4, 32, 64]
    assert "latency_p99_ms" not in report.points[0]


def test_another_batch_can_be_chosen(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "bytemlperf" / "HPU", "batch_size=4")
    assert report.case["batch_size"] == 4
    assert report.figures["infer/samples_per_second"].value == 2000.0
    with pytest.raises(ConfigurationError, match="has no batch size 5; it was measured at 4, 32, 64"):
        imports(data / "bytemlperf" / "HPU", "batch_size=5")


def test_what_only_another_batch_tells_is_null(imports: Imports, tmp_path: Path, data: Path) -> None:
    told = json.loads((data / "bytemlperf" / "HPU" / "result-fp32.json").read_text())
    told["Performance"] = [{"BS": 4, "QPS": 2000}, {"BS": 32, "QPS": 8000, "AVG Latency": 4.0, "P99 Latency": 4.4}]
    (tmp_path / "HPU").mkdir()
    (tmp_path / "HPU" / "result-fp32.json").write_text(json.dumps(told))
    (report,) = imports(tmp_path / "HPU", "batch_size=4")
    assert report.figures["infer/samples_per_second"].value == 2000.0
    latency = report.figures["infer/latency_mean_ms"]
    assert (latency.value, latency.reason) == (None, "not told at this batch size")


def test_defects_become_nulls_with_reasons(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "bytemlperf" / "HPU")
    p99, compile_s, coverage = (report.figures[f"infer/{one}"] for one in ("latency_p99_ms", "compile_s", "coverage"))
    assert p99.value is None
    assert "slowest of 100 iterations" in (p99.reason or "")
    assert compile_s.reason == "in 4e-05 s nothing was compiled: the backend does it later, with its first batch"
    assert coverage.reason == "ByteMLPerf's HPU backend writes 100 without looking"


def test_old_names_nested_rows_and_sparse_weights(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "bytemlperf" / "STC")
    assert report.figures["infer/samples_per_second"].value == 800.5
    assert report.figures["infer/latency_mean_ms"].reason == "worked out from the throughput of 8 threads, not measured"
    assert report.figures["infer/coverage"].value == 0.9975  # 99.75 %
    assert report.figures["infer/compile_s"].value == 640.5
    assert report.figures["accuracy/f1"].value == 0.8765503  # 87.65503 %
    assert report.figures["accuracy/exact_match"].value == 0.8025
    assert report.figures["numerics/mean_abs"].value is None  # masked zeros
    assert {"key": "weights.sparsity", "reference": 0, "value": "0.9375", "allowed": False} in report.division.changed
    assert "The accuracy is over the first 50 % of the data." in report.warnings


def test_llm_perf_is_a_result_for_each_number_of_devices(imports: Imports, data: Path) -> None:
    one, two = imports(data / "bytemlperf" / "llm")
    assert [one.case["devices"], one.case["batch_size"], two.case["devices"]] == [1, 8, 2]
    assert one.figures["generation/tokens_per_second"].value == 210.25
    assert one.figures["infer/achieved_per_second"].value == 0.75
    assert two.figures["generation/tokens_per_second"].value == 350.5
    assert one.figures["generation/tpot_p50_ms"].value is None
    assert "nanoseconds" in (one.figures["generation/tpot_p50_ms"].reason or "")
    assert one.figures["generation/ttft_p50_ms"].value is None  # a mean is no median
    assert [point["ttft_mean_ms"] for point in one.points] == [120.5, 120.5]


def test_micro_perf_is_points_in_units(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "bytemlperf" / "micro")
    assert report.case["chip"] == "A100 SXM 80GB"  # as the catalogue calls it
    assert report.case["task"] == "operator"
    first = report.points[0]
    assert first["latency_us"] == 150.25
    assert first["mem_bw_gb_per_second"] == 335.5
    assert first["calc_flops_power_tflops"] == 228.7
    assert [point["M"] for point in report.points] == [1024, 2048]


def test_micro_perf_in_another_unit_is_refused_by_name(imports: Imports, data: Path, tmp_path: Path) -> None:
    text = (data / "bytemlperf" / "micro" / "torch-bfloat16.jsonl").read_text().replace("latency(us)", "latency(ms)")
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(ConfigurationError, match=r"latency\(ms\) is in ms; known units are us"):
        imports(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Performance": [{"Batch": 4, "Throughput": 1.0}]}, "has no BS, QPS. It is of a version that is not known"),
        ({"Performance": [{"BS": 4, "QPS": "fast"}]}, "QPS is 'fast', which is no number"),
        ({"Performance": [{"BS": 0, "QPS": 1.0}]}, "has the batch size 0"),
    ],
)
def test_rows_of_unknown_form_are_refused(
    imports: Imports, data: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    content = json.loads((data / "bytemlperf" / "HPU" / "result-fp32.json").read_text()) | change
    (tmp_path / "result.json").write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match=said):
        imports(tmp_path / "result.json")


def test_a_top_1_above_one_is_left_out(imports: Imports, data: Path, tmp_path: Path) -> None:
    content = json.loads((data / "bytemlperf" / "HPU" / "result-fp32.json").read_text())
    content["Accuracy"]["Top-1"] = 76.25
    (tmp_path / "result.json").write_text(json.dumps(content))
    (report,) = imports(tmp_path / "result.json")
    assert "accuracy/top1" not in report.figures
    assert any(one.startswith("Not taken over: Top-1: it is 76.25") for one in report.warnings)


def test_what_is_not_available_is_null_not_zero(imports: Imports, data: Path, tmp_path: Path) -> None:
    content = json.loads((data / "bytemlperf" / "HPU" / "result-fp32.json").read_text())
    content["Performance"] = [{"BS": 8, "QPS": "N/A", "AVG Latency": "N/A", "P99 Latency": None}]
    (tmp_path / "result.json").write_text(json.dumps(content))
    (report,) = imports(tmp_path / "result.json")
    assert report.figures["infer/samples_per_second"].value is None
    assert report.points[0]["samples_per_second"] is None

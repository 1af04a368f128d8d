"""MLPerf Inference: a round's results and LoadGen's summaries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.core.errors import ConfigurationError
from runner.record.report import Report

Imports = Callable[..., list[Report]]


def _rows(imports: Imports, data: Path) -> list[Report]:
    return imports(data / "mlperf" / "summary_results.json")


def test_tokens_are_of_the_whole_system(imports: Imports, data: Path) -> None:
    report = _rows(imports, data)[0]
    assert report.figures["generation/tokens_per_second"].value == 23514.8
    assert report.case["devices"] == 8  # 4 a node, 2 nodes
    assert [report.case["chip"], report.case["vendor"], report.case["precision"]] == ["A100 SXM 80GB", "nvidia", None]
    assert report.figures["accuracy/rouge1"].value == 0.445
    assert report.environment["tokens_per_sample"] == 293.5
    assert report.imported["version"] == "v5.1"


def test_queries_are_requests(imports: Imports, data: Path) -> None:
    report = _rows(imports, data)[1]
    assert report.case["model"] == "resnet50"
    assert report.figures["infer/achieved_per_second"].value == 310333.5
    assert report.figures["infer/samples_per_second"].value is None
    assert report.figures["accuracy/top1"].value == 0.76064


def test_the_mislabelled_row_is_not_taken_for_queries(imports: Imports, data: Path) -> None:
    report = _rows(imports, data)[2]
    figure = report.figures["infer/achieved_per_second"]
    assert figure.value is None
    assert "labelled Queries/s, where this model's results are in tokens/s" in (figure.reason or "")
    assert report.figures["generation/tokens_per_second"].value is None


def test_single_stream_is_a_90th_percentile_and_no_accelerators_stay_unknown(imports: Imports, data: Path) -> None:
    report = _rows(imports, data)[3]
    assert report.figures["infer/latency_p90_ms"].value == 0.5
    assert report.case["devices"] is None


def test_what_was_inferred_was_not_measured(imports: Imports, data: Path) -> None:
    report = _rows(imports, data)[4]
    figure = report.figures["infer/latency_p99_ms"]
    assert (figure.value, figure.reason) == (None, "MLPerf inferred it from another scenario: it was not measured")


def test_a_result_with_errors_failed(imports: Imports, data: Path) -> None:
    report = _rows(imports, data)[5]
    assert report.status == "failed"
    assert report.error == {"class": "Invalid", "message": "MLPerf's checker found 2 errors in this result."}
    assert report.figures["infer/samples_per_second"].value == 400000.0  # nothing that was measured is lost


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "v9.0"}, "is of round v9.0, which is not known here; known: v4.1, v5.0, v5.1"),
        ({"Performance_Units": "Frames/s"}, "is in 'Frames/s', which is not known here; known: Tokens/s, Samples/s"),
        ({"Performance_Result": "n/k"}, "Performance_Result is 'n/k', which is no number"),
    ],
)
def test_unknown_rounds_and_units_are_refused(
    imports: Imports, data: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    rows = json.loads((data / "mlperf" / "summary_results.json").read_text())
    (tmp_path / "summary_results.json").write_text(json.dumps([rows[1] | change]))
    with pytest.raises(ConfigurationError, match=said):
        imports(tmp_path / "summary_results.json")


def test_loadgens_nanoseconds_are_milliseconds(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "mlperf" / "server")
    expected = {
        "infer/achieved_per_second": 10.97,
        "infer/offered_per_second": 11.02,
        "generation/tokens_per_second": 3218.55,
        "infer/latency_mean_ms": 42014.776564,
        "infer/latency_p50_ms": 36627.110116,
        "infer/latency_p99_ms": 134996.18681,
        "generation/ttft_p50_ms": 266.0238,
        "generation/ttft_p99_ms": 664.223026,
        "generation/tpot_p50_ms": 142.677966,
    }
    assert {name: report.figures[name].value for name in expected} == expected
    assert report.status == "done"
    assert [report.case[key] for key in ("load", "model", "chip", "precision")] == ["server", None, None, None]


def test_an_invalid_result_failed_and_says_why(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "mlperf" / "invalid")
    assert report.status == "failed"
    assert report.error is not None
    assert report.error["message"].startswith("LoadGen calls the result INVALID: not satisfied: Min duration.")
    assert "Increase expected QPS" in report.error["message"]
    assert report.figures["infer/latency_p50_ms"].value is None  # how long the last of all samples waited
    assert report.figures["generation/tokens_per_second"].value is None  # inferred, not counted


def test_70_queries_have_no_p99(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "mlperf" / "single")
    assert report.figures["infer/requests"].value == 70.0
    assert report.figures["infer/latency_p90_ms"].value == 4.079418
    assert report.figures["infer/latency_p99_ms"].reason == "70 queries; p99 needs 100"


def test_the_place_in_a_submission_tells_the_model(imports: Imports, data: Path, tmp_path: Path) -> None:
    place = tmp_path / "closed" / "X" / "results" / "box" / "resnet50" / "Server" / "performance" / "run_1"
    place.mkdir(parents=True)
    (place / "mlperf_log_summary.txt").write_bytes((data / "mlperf" / "server" / "mlperf_log_summary.txt").read_bytes())
    (report,) = imports(tmp_path)
    assert report.case["model"] == "resnet50"


def test_accuracy_mode_measures_no_speed(imports: Imports, data: Path, tmp_path: Path) -> None:
    text = (
        (data / "mlperf" / "server" / "mlperf_log_summary.txt").read_text().replace("PerformanceOnly", "AccuracyOnly")
    )
    (tmp_path / "mlperf_log_summary.txt").write_text(text)
    (report,) = imports(tmp_path / "mlperf_log_summary.txt")
    assert report.figures["infer/achieved_per_second"].value is None


def test_an_unknown_scenario_is_refused(imports: Imports, data: Path, tmp_path: Path) -> None:
    text = (
        (data / "mlperf" / "server" / "mlperf_log_summary.txt")
        .read_text()
        .replace("Scenario : Server", "Scenario : New")
    )
    (tmp_path / "mlperf_log_summary.txt").write_text(text)
    with pytest.raises(ConfigurationError, match="scenario 'New' with result 'VALID' is not known"):
        imports(tmp_path / "mlperf_log_summary.txt")

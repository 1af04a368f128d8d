"""What is drawn of a served model, read back from the specification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chart_reading import axis_titles, legend, rows_of, series
from tracking_samples import make_case, make_report

from runner.config.schema import Case
from runner.core.events import Event, Name
from runner.record.report import Figure, Report
from runner.serving.load.requests import Request, append_requests
from runner.views.charts import requests, serving
from runner.views.charts.parts.chart import Chart

OUTPUT = {"snr_db": 62.5, "histogram": {"0": 10, "1e-4": 25, "1e-3": 5}}


def request(number: int, latency_s: float, ttft_s: float | None = None, moments_s: tuple[float, ...] = ()) -> Request:
    due_s = 50.0 + number
    first_s = None if ttft_s is None else due_s + ttft_s
    ended_s = due_s + latency_s
    told: dict[str, Any] = {"first_token_s": first_s, "moments_s": moments_s}
    return Request(number=number, arrived_s=due_s, begun_s=due_s, ended_s=ended_s, samples=8, **told)


def served(root: Path, *overrides: str) -> tuple[Path, Case, Report]:
    folder = root / "run"
    folder.mkdir()
    case = make_case(root, "task=infer", "model=resnet50", *overrides)
    case.save(folder / "run.yaml")
    report = make_report(folder)
    report.case |= {"unit": "images", "batch_size": case.model.inference.batch_size}
    report.figures["infer/samples_per_second"] = Figure(value=80.0, unit="images/s")
    report.figures["infer/latency_p50_ms"] = Figure(value=200.0, unit="ms")
    report.figures["infer/latency_p99_ms"] = Figure(value=None, unit="ms", reason="too few")
    return folder, case, report


def by_name(*charts: Chart | None) -> dict[str, Chart]:
    return {chart.name: chart for chart in charts if chart}


def test_latencies_by_arrival_and_by_share(tmp_path: Path) -> None:
    folder, case, report = served(tmp_path, "load=server", "load.rate=1", "load.slo.latency_ms=250")
    append_requests(folder, 0, [request(0, 0.3, 0.1), request(1, 0.1, 0.05), request(2, 0.2, 0.15), request(3, 0.4)])
    found = by_name(*requests.charts(folder, report, case))
    assert list(found) == ["latency", "latency_shares", "ttft_shares"]
    whole = series(found["latency"], "whole answer")
    assert [row["x"] for row in whole] == [0, 1, 2, 3]
    assert [row["mean"] for row in whole] == pytest.approx([300, 100, 200, 400])
    assert [row["mean"] for row in series(found["latency"], "first token")] == pytest.approx([100, 50, 150])
    assert [row["mean"] for row in series(found["latency"], "limit of latency: 250.0 ms")] == [250]
    shares = series(found["latency_shares"], "4 requests")
    assert [(row["x"], row["share"]) for row in shares] == [
        (pytest.approx(100), 25), (pytest.approx(200), 50), (pytest.approx(300), 75), (pytest.approx(400), 100)
    ]  # fmt: skip
    assert list(legend(found["latency_shares"])) == ["4 requests", "p50: 200.0 ms", "limit of latency: 250.0 ms"]
    assert [row["x"] for row in series(found["latency_shares"], "p50: 200.0 ms")] == [200.0]
    assert [row["share"] for row in series(found["ttft_shares"], "3 requests")] == pytest.approx(
        [100 / 3, 200 / 3, 100]
    )
    assert axis_titles(found["latency"]) == ("time of arrival (s)", "latency (ms)")


def test_a_limit_far_away_is_not_drawn(tmp_path: Path) -> None:
    folder, case, report = served(tmp_path, "load=server", "load.rate=1", "load.slo.latency_ms=5000")
    append_requests(folder, 0, [request(0, 0.3), request(1, 0.1)])
    found = by_name(*requests.charts(folder, report, case))
    assert list(legend(found["latency"])) == ["whole answer"]
    assert list(legend(found["latency_shares"])) == ["2 requests", "p50: 200.0 ms"]


def test_many_requests_keep_their_extremes(tmp_path: Path) -> None:
    folder, case, report = served(tmp_path)
    append_requests(folder, 0, [request(n, 9.0 if n == 1234 else 0.1 if n == 77 else 0.2) for n in range(2400)])
    latency = by_name(*requests.charts(folder, report, case))["latency"]
    rows = series(latency, "whole answer, mean of 10 requests and range")
    assert len(rows) == 240
    assert max(row["high"] for row in rows) == pytest.approx(9000)
    assert min(row["low"] for row in rows) == pytest.approx(100)


def test_what_the_report_has_no_latency_of_has_no_picture_of_it(tmp_path: Path) -> None:
    folder, case, report = served(tmp_path)
    append_requests(folder, 0, [request(0, 0.3)])
    report.figures["infer/latency_mean_ms"] = Figure(value=None, unit="ms", reason="all requests arrive at once")
    assert by_name(*requests.charts(folder, report, case)) == {}


def test_gaps_between_tokens(tmp_path: Path) -> None:
    folder, case, report = served(tmp_path)
    report.figures["generation/itl_p50_ms"] = Figure(value=20.0, unit="ms")
    moments = ((50.1, 50.12, 50.14, 50.18), (51.1, 51.12))
    append_requests(folder, 0, [request(n, 0.5, 0.1, one) for n, one in enumerate(moments)])
    gaps = by_name(*requests.charts(folder, report, case))["token_gaps"]
    assert sum(row.get("count", 0) for row in rows_of(gaps)) == 4, "never from one request's last to another's first"
    assert [row["x"] for row in series(gaps, "p50: 20.00 ms")] == [20.0]


def test_errors_of_every_output_the_worst_first() -> None:
    exact = {"snr_db": None, "histogram": {"0": 7}}
    told = {"outputs": {"exact": exact, "logits": OUTPUT, "broken": {"histogram": None}}, "least_snr_db": 40.0}
    chart = serving.numerics(told)
    assert chart is not None and list(legend(chart)) == ["logits: 62.5 dB", "exact: no error"]
    shares = {row["x"]: row["share"] for row in series(chart, "logits: 62.5 dB")}
    assert sum(shares.values()) == pytest.approx(100)
    assert (shares[serving.NO_ERROR], shares[-4], shares[-3]) == (25.0, 62.5, 12.5), "10 of 40 have no error"
    assert "40 dB" in chart.note
    assert serving.numerics({}) is None


def test_coverage_counts_nodes_and_says_why() -> None:
    coverage = {"taken": 45, "total": 50, "fallbacks": {"NonZero": "not supported"}, "subgraphs": 3}
    event = Event(name=Name.COMPILE.value, value={"coverage": coverage}, rank=0, time_ms=0, monotonic_s=0.0)
    chart = serving.coverage([event])
    assert chart is not None
    assert [(row["value"], row["label"]) for row in rows_of(chart)] == [
        (45, "taken by the engine: 45 (90.0 %)"), (5, "run by something else: 5 (10.0 %)")
    ]  # fmt: skip
    assert chart.note == "NonZero: not supported"
    untold = Event(name=Name.COMPILE.value, value={"coverage": None}, rank=0, time_ms=0, monotonic_s=0.0)
    assert serving.coverage([untold]) is None and serving.coverage([]) is None


def test_speed_by_batch_size_has_the_window_itself(tmp_path: Path) -> None:
    _, case, report = served(tmp_path, "model.infer.batch_size=4")
    points = [
        {"batch_size": 4, "copies": False, "samples_per_second": 90.0},
        {"batch_size": 16, "copies": True, "samples_per_second": 160.0},
        {"batch_size": 16, "copies": False, "samples_per_second": 170.0},
    ]
    chart = by_name(*serving.batch_sizes(points, report, case, window=True))["batch_sizes"]
    lines = {name: [(row["x"], row["speed"]) for row in series(chart, name)] for name in legend(chart)}
    assert lines == {"copies excluded": [(4, 90.0), (16, 170.0)], "with copies": [(4, 80.0), (16, 160.0)]}
    assert axis_titles(chart) == ("batch size (rows)", "throughput (images/s)")
    beside = by_name(*serving.batch_sizes(points, report, case, window=False))["batch_sizes"]
    assert [row["x"] for row in series(beside, "with copies")] == [16], "the mean of repeats is no one's window"
    assert serving.batch_sizes(points[:1], report, case, window=True) == [], "one size is no line"


def test_points_of_a_model_that_writes_are_told_by_their_lengths(tmp_path: Path) -> None:
    _, case, report = served(tmp_path)
    points = [
        {"batch_size": size, "prompt_tokens": 32, "new_tokens": new, "decode_tokens_per_second": 10.0 * size}
        for size in (1, 2)
        for new in (8, 16)
    ]
    chart = by_name(*serving.batch_sizes(points, report, case, window=False))["batch_sizes"]
    assert axis_titles(chart)[1] == "decoding alone (tokens/s)"
    assert list(legend(chart)) == ["32 + 16 tokens", "32 + 8 tokens"]

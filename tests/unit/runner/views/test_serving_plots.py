"""What is drawn of a served model, read back from the axes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tracking_samples import make_case, make_report

from runner.config.schema import Case
from runner.core.events import Event, EventWriter, Name
from runner.record.report import Figure, Report
from runner.serving.load.requests import Request, append_requests
from runner.views.plots import draw_plots
from runner.views.serving_plots import serving_figures

OUTPUT = {"snr_db": 62.5, "histogram": {"0": 10, "1e-4": 25, "1e-3": 5}}


def request(number: int, latency_s: float, ttft_s: float | None = None) -> Request:
    due_s = 50.0 + number
    first_s = None if ttft_s is None else due_s + ttft_s
    return Request(
        number=number, arrived_s=due_s, begun_s=due_s, first_token_s=first_s, ended_s=due_s + latency_s, samples=8
    )


def served(root: Path, *overrides: str) -> tuple[Path, Case, Report]:
    folder = root / "run"
    folder.mkdir()
    case = make_case(root, "task=infer", "model=resnet50", *overrides)
    case.save(folder / "run.yaml")
    report = make_report(folder)
    report.figures["infer/samples_per_second"] = Figure(value=80.0, unit="images/s")
    report.figures["infer/latency_p50_ms"] = Figure(value=200.0, unit="ms")
    return folder, case, report


def drawn(folder: Path, report: Report, case: Case, *told: tuple[Name, dict[str, Any]]) -> dict[str, Any]:
    events = [Event(name=name.value, value=value, rank=0, time_ms=0, monotonic_s=0.0) for name, value in told]
    return serving_figures(folder, report, case, events)


def labels(axes: Any) -> list[str]:
    return axes.get_legend_handles_labels()[1]


def test_latencies_over_time_and_by_share(tmp_path: Path) -> None:
    folder, case, report = served(tmp_path, "load=server", "load.rate=1", "load.slo.latency_ms=250")
    append_requests(folder, 0, [request(0, 0.3, 0.1), request(1, 0.1, 0.05), request(2, 0.2, 0.15), request(3, 0.4)])
    over_time, shares = drawn(folder, report, case)["latency"].axes
    assert list(over_time.lines[0].get_xdata()) == [0, 1, 2, 3]
    assert list(over_time.lines[0].get_ydata()) == pytest.approx([300, 100, 200, 400])
    whole, first = shares.lines[:2]
    assert list(whole.get_xdata()) == [25, 50, 75, 100]
    assert list(whole.get_ydata()) == pytest.approx([100, 200, 300, 400])
    assert list(first.get_ydata()) == pytest.approx([50, 100, 150]), "a request without tokens has no first one"
    assert labels(shares) == ["whole answer", "first token", "p50: 200 ms", "limit of latency: 250 ms"]


def test_errors_of_every_output_the_worst_first(tmp_path: Path) -> None:
    folder, case, report = served(tmp_path)
    exact = {"snr_db": None, "histogram": {"0": 7}}
    told = {"outputs": {"exact": exact, "logits": OUTPUT, "broken": {"histogram": None}}, "least_snr_db": 40.0}
    first, second = drawn(folder, report, case, (Name.NUMERICS, told))["numerics"].axes
    assert first.get_title() == "logits: 62.5 dB, 40 elements" and second.get_title() == "exact: no error, 7 elements"
    heights = [bar.get_height() for bar in first.patches]
    assert sum(heights) == pytest.approx(100) and heights[0] == 25, "10 of 40 have no error"
    names = [text.get_text() for text in second.get_xticklabels()]
    assert heights[names.index("-4")] == 62.5 and heights[names.index("-3")] == 12.5


def test_speed_by_batch_size_has_the_window_itself(tmp_path: Path) -> None:
    folder, case, report = served(tmp_path, "model.infer.batch_size=4")
    points = [
        {"batch_size": 4, "copies": False, "samples_per_second": 90.0},
        {"batch_size": 16, "copies": True, "samples_per_second": 160.0},
        {"batch_size": 16, "copies": False, "samples_per_second": 170.0},
    ]
    told = [(Name.POINT, point) for point in points]
    (axes,) = drawn(folder, report, case, *told)["batch_sizes"].axes
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
    assert lines["with copies"] == ([4, 16], [80.0, 160.0]) and lines["copies excluded"] == ([4, 16], [90.0, 170.0])
    assert axes.get_ylabel() == "images/s"
    assert drawn(folder, report, case, told[0])["batch_sizes"] is None, "one size is no line"


def test_points_of_a_model_that_writes_are_told_by_their_lengths(tmp_path: Path) -> None:
    folder, case, report = served(tmp_path)
    told = [
        (
            Name.POINT,
            {"batch_size": size, "prompt_tokens": 32, "new_tokens": new, "decode_tokens_per_second": 10.0 * size},
        )
        for size in (1, 2)
        for new in (8, 16)
    ]
    (axes,) = drawn(folder, report, case, *told)["batch_sizes"].axes
    assert axes.get_ylabel() == "tokens/s, decoding alone"
    assert labels(axes) == ["32 + 16 tokens", "32 + 8 tokens"]


def test_a_served_run_has_its_pictures_and_none_of_training(tmp_path: Path) -> None:
    folder, _, report = served(tmp_path)
    append_requests(folder, 0, [request(number, 0.1 * (1 + number)) for number in range(4)])
    events = EventWriter(folder / "events" / "rank0.log", rank=0)
    events.emit(Name.NUMERICS, {"outputs": {"logits": OUTPUT}, "least_snr_db": 40.0})
    events.close()
    assert [path.name for path in draw_plots(folder, report)] == ["latency.png", "numerics.png"]


def test_nothing_is_drawn_of_a_run_that_answered_nothing(tmp_path: Path) -> None:
    folder, _, report = served(tmp_path)
    assert draw_plots(folder, report) == []


def test_the_parent_that_draws_imports_no_torch() -> None:
    code = "import sys, runner.views.plots; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

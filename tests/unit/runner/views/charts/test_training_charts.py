"""What is drawn of a training's steps, read back from the specification."""

from __future__ import annotations

from pathlib import Path

import pytest
from chart_reading import axis_titles, legend, rows_of, series
from plot_samples import WARMUP, write_steps
from report_samples import report

from runner.record.report import Figure
from runner.record.series import read_steps
from runner.views.charts.parts.chart import Chart
from runner.views.charts.training import charts, loss, step_times, throughput

HEADER = "rank,step,phase,seconds,core_seconds,samples,tokens,loss"


def drawn(chart: Chart | None) -> Chart:
    assert chart is not None
    return chart


def steps_file(folder: Path, *rows: str) -> Path:
    (folder / "steps.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return folder / "steps.csv"


def test_throughput_is_the_jobs_and_the_level_is_the_reports(tmp_path: Path) -> None:
    rows = ["0,1,warmup,1.0,1,8,,1", "1,1,warmup,2.0,1,8,,1", "0,2,window,0.5,1,8,,1", "1,2,window,0.5,1,8,,1"]
    told = read_steps(steps_file(tmp_path, *rows))
    chart = drawn(throughput(told, report(values={"throughput/steady": 31.25})))
    assert [(row["x"], row["mean"]) for row in series(chart, "each step")] == [(2.0, 8.0), (2.5, 32.0)]
    assert series(chart, "warm-up") == [{"x": 0.0, "end": 2.0, "series": "warm-up"}]
    assert series(chart, "measured window") == [{"x": 2.0, "end": 2.5, "series": "measured window"}]
    assert series(chart, "steady: 31.25 sequences/s") == [{"mean": 31.25, "series": "steady: 31.25 sequences/s"}]
    assert axis_titles(chart) == ("time in training steps (s)", "throughput (sequences/s)")


def test_a_mean_over_several_steps_is_samples_by_seconds(tmp_path: Path) -> None:
    write_steps(tmp_path, steps=2 * 240 + WARMUP, ranks=1)
    told = read_steps(tmp_path / "steps.csv")
    chart = drawn(throughput(told, report()))
    name = "mean of 3 steps, with lowest and highest"
    first, last = told[:3], told[-1]
    assert series(chart, name)[0]["mean"] == pytest.approx(96 / sum(step.seconds for step in first))
    assert series(chart, name)[0]["high"] == pytest.approx(max(32 / step.seconds for step in first))
    edge = sum(step.seconds for step in told[:WARMUP])
    assert series(chart, "measured window")[0]["x"] == pytest.approx(edge, rel=1e-12)
    assert series(chart, "measured window")[0]["end"] == pytest.approx(edge + sum(s.seconds for s in told[WARMUP:]))
    assert last.phase == "window"


def test_a_mean_of_repeats_says_so(tmp_path: Path) -> None:
    told = read_steps(steps_file(tmp_path, "0,1,window,0.5,1,8,,1"))
    made = report(intervals={"throughput/steady": (500, 520)})
    assert "steady, mean of repeats: 512.3 sequences/s" in legend(drawn(throughput(told, made)))


def test_no_steady_throughput_is_no_level(tmp_path: Path) -> None:
    told = read_steps(steps_file(tmp_path, "0,1,window,0.5,1,8,,1"))
    chart = drawn(throughput(told, report(without=("throughput/steady",))))
    assert list(legend(chart)) == ["each step", "measured window"]


def test_loss_by_step(tmp_path: Path) -> None:
    rows = ["0,1,warmup,1,1,8,,3.0", "1,1,warmup,1,1,8,,4.0", "0,2,window,1,1,8,,", "0,3,window,1,1,8,,2.0"]
    chart = drawn(loss(read_steps(steps_file(tmp_path, *rows))))
    assert [(row["x"], row["mean"]) for row in series(chart, "each step")] == [(1, 3.5), (3, 2.0)]
    assert axis_titles(chart) == ("optimizer step", "training loss (no unit)")


def test_step_times_are_those_that_the_figures_are_of(tmp_path: Path) -> None:
    own = [f"0,{step},window,{seconds},1,8,,1" for step, seconds in enumerate((0.010, 0.012, 0.012, 0.020), 2)]
    others = ["1,2,window,7.0,1,8,,1", "0,6,window,8.0,1,0,,1"]
    steps_file(tmp_path, "0,1,warmup,9.0,1,8,,1", *own, *others)
    made = report(values={"step/mean_ms": 13.5, "step/p50_ms": 12.0})
    chart = drawn(step_times(tmp_path, made))
    counted = [row for row in rows_of(chart) if row.get("count")]
    assert [row["count"] for row in counted] == [1, 2, 1], "not of warm-up, of another rank, or skipped by the scaler"
    assert (counted[0]["x"], counted[-1]["end"]) == pytest.approx((10.0, 20.0))
    assert list(legend(chart)) == ["steps", "p50: 12.00 ms"], "no quantile that the report does not have"
    assert axis_titles(chart) == ("step time (ms)", "steps (count)")


def test_step_times_that_the_report_doubts_are_not_drawn(tmp_path: Path) -> None:
    steps_file(tmp_path, "0,1,window,0.01,1,8,,1")
    assert step_times(tmp_path, report(without=("step/mean_ms",))) is None


def test_steps_without_device_events_have_a_loss_alone(tmp_path: Path) -> None:
    steps_file(tmp_path, "0,1,window,,,8,,2.5", "0,2,window,,,8,,2.0")
    made = report()
    made.figures["step/mean_ms"] = Figure(value=None, unit="ms", reason="no device events")
    assert [chart.name for chart in charts(tmp_path, made) if chart] == ["loss"]


def test_no_file_is_no_chart(tmp_path: Path) -> None:
    assert [chart for chart in charts(tmp_path, report()) if chart] == []

"""Quality against samples, time and joules, read back from the specification."""

from __future__ import annotations

from pathlib import Path

import pytest
from chart_reading import axis_titles, legend, series
from plot_samples import write_evaluations
from report_folders import Folder
from report_folders import case as folder_case
from report_samples import report
from tracking_samples import make_case

from hardware.sampling.trace_file import TraceRow, TraceWriter
from runner.core.events import EventWriter, Name
from runner.record.run_record import read_record
from runner.views.charts.convergence import charts
from runner.views.charts.parts.chart import Chart


def by_name(folder: Path) -> dict[str, Chart]:
    return {chart.name: chart for chart in charts(read_record(folder), report(task="converge")) if chart}


def points(chart: Chart) -> list[tuple[float, float]]:
    return [(row["x"], row["mean"]) for row in series(chart, "evaluations")]


def test_quality_by_samples_and_by_time_with_its_target(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    case.save(tmp_path / "run.yaml")
    write_evaluations(tmp_path, "mlm_accuracy", count=3)
    found = by_name(tmp_path)
    assert list(found) == ["quality_samples", "quality_time"], "without a trace there are no joules"
    assert [x for x, _ in points(found["quality_samples"])] == [0, 3200, 6400, 9600]
    assert [x for x, _ in points(found["quality_time"])] == [0.0, 3.0, 6.0, 9.0]
    target = case.model.training.quality.targets["mlm_accuracy"]
    assert [row["mean"] for row in series(found["quality_time"], f"target: {target:g}")] == [target]
    assert axis_titles(found["quality_samples"]) == (
        "training samples (sequences)", "mlm_accuracy (ratio or score, no unit)"
    )  # fmt: skip


def test_time_is_as_the_worker_counted_it(tmp_path: Path) -> None:
    make_case(tmp_path).save(tmp_path / "run.yaml")
    events = EventWriter(tmp_path / "events" / "rank0.log", rank=0)
    events.emit(Name.TRAIN_START, {"step": 0, "samples": 0}, at=(100_000, 100.0))
    told = {"step": 4, "samples": 32, "training_s": 250.0, "quality": {"mlm_accuracy": 0.1}}
    events.emit(Name.EVALUATE, told, at=(107_000, 107.0))
    events.close()
    assert points(by_name(tmp_path)["quality_time"]) == [(250.0, 0.1)]


def test_joules_are_those_of_the_devices_since_training_began(tmp_path: Path) -> None:
    folder = Folder(tmp_path, folder_case("converge", devices=1))
    folder.begin()
    began_s = folder.clock_s
    for place, quality in enumerate((0.2, 0.4), 1):
        told = {"step": place, "samples": 80 * place, "quality": {"accuracy": quality}, "reached": False}
        folder.tell(Name.EVALUATE, told, after_s=10)
    trace = TraceWriter(tmp_path / "power.csv")
    for tenth in range(-20, 400):
        second = began_s + tenth / 10
        row = {"meter": "nvml", "source": "GPU-1", "scope": "device", "power_w": 300.0}
        trace.write(TraceRow(monotonic_s=second, unix_s=second, **row))  # type: ignore[arg-type]
    trace.close()
    energy = by_name(tmp_path)["quality_energy"]
    assert points(energy) == [(pytest.approx(3000, rel=0.01), 0.2), (pytest.approx(6000, rel=0.01), 0.4)]
    assert axis_titles(energy)[0] == "energy of the devices (J)"


def test_a_resumed_run_has_no_joules(tmp_path: Path) -> None:
    make_case(tmp_path).save(tmp_path / "run.yaml")
    write_evaluations(tmp_path, "mlm_accuracy", count=1)
    events = EventWriter(tmp_path / "events" / "rank0.log", rank=0)
    events.emit(Name.CHECKPOINT, {"step": 40}, at=(104_000, 104.0))
    events.emit(Name.TRAIN_START, {"step": 40, "samples": 3200}, at=(105_000, 105.0))
    events.close()
    trace = TraceWriter(tmp_path / "power.csv")
    for second in range(90, 120):
        row = {"meter": "rapl", "source": "package-0", "scope": "package", "power_w": 100.0}
        trace.write(TraceRow(monotonic_s=second, unix_s=second, **row))  # type: ignore[arg-type]
    trace.close()
    assert list(by_name(tmp_path)) == ["quality_samples", "quality_time"]


def test_no_evaluation_is_no_chart(tmp_path: Path) -> None:
    make_case(tmp_path).save(tmp_path / "run.yaml")
    assert by_name(tmp_path) == {}


def test_the_legend_names_both(tmp_path: Path) -> None:
    make_case(tmp_path).save(tmp_path / "run.yaml")
    write_evaluations(tmp_path, "mlm_accuracy", count=2)
    assert [name.partition(":")[0] for name in legend(by_name(tmp_path)["quality_time"])] == ["evaluations", "target"]

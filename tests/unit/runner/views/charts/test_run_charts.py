"""All charts of a run together: files, repeats, emulation, both languages, and that Vega-Lite takes them all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chart_reading import axis_titles, require_drawable
from plot_samples import write_evaluations, write_power, write_steps
from report_samples import report
from tracking_samples import make_case

from hardware.sampling.trace_file import TraceRow, TraceWriter
from runner.core.events import EventWriter, Name
from runner.messages.language import LANGUAGES, Language, speaking
from runner.record.report import Report
from runner.serving.load.requests import Request, append_requests
from runner.views.charts.parts.chart import DARK, LIGHT, Chart, pictured
from runner.views.charts.run import draw, run_charts
from runner.views.charts.several import set_charts
from runner.views.comparable import RunResult

PNG = b"\x89PNG\r\n\x1a\n"
ROOFLINE = {
    "compute/achieved_flops_per_second": 1e14,
    "compute/peak_flops_per_second": 312e12,
    "compute/mbu": 0.1,
    "step/mean_ms": 50.0,
    "throughput/core": 400.0,
    "energy/per_sample_j": 2.0,
}


def make_folder(root: Path, *overrides: str) -> Path:
    folder = root / "run"
    folder.mkdir(parents=True)
    make_case(root, *overrides).save(folder / "run.yaml")
    return folder


def trained(root: Path) -> Path:
    folder = make_folder(root)
    write_steps(folder)
    write_evaluations(folder, "mlm_accuracy")
    write_power(folder)
    with_clocks = TraceWriter(folder / "power.csv")
    for second in range(90, 130):
        told: dict[str, Any] = {
            "clock_mhz": 1400.0,
            "temperature_c": 60.0,
            "throttle": "sw_power_cap",
            "utilisation": 1.0,
        }
        row = {"meter": "nvml", "source": "GPU-5f2c", "scope": "device"} | told
        with_clocks.write(TraceRow(monotonic_s=second, unix_s=second, **row))
    with_clocks.close()
    return folder


def served(root: Path) -> tuple[Path, Report]:
    folder = make_folder(root, "task=infer", "model=resnet50")
    requests = [
        Request(
            number=n, arrived_s=50.0 + n, begun_s=50.0 + n, ended_s=50.5 + n, samples=8, first_token_s=50.1 + n,
            moments_s=(50.1 + n, 50.3 + n, 50.5 + n),
        )
        for n in range(9)
    ]  # fmt: skip
    append_requests(folder, 0, requests)
    events = EventWriter(folder / "events" / "rank0.log", rank=0)
    outputs = {name: {"snr_db": snr, "histogram": {"0": 1, "1e-4": 9}} for name, snr in (("a", 50.0), ("b", 60.0))}
    events.emit(Name.NUMERICS, {"outputs": outputs, "least_snr_db": 40.0})
    coverage = {"taken": 9, "total": 12, "fallbacks": {"NonZero": "not supported"}, "subgraphs": 2}
    events.emit(Name.COMPILE, {"coverage": coverage})
    for size in (1, 8):
        events.emit(Name.POINT, {"batch_size": size, "copies": True, "samples_per_second": 10.0 * size})
    events.close()
    made = report()
    made.case |= {"task": "infer", "model": "resnet50", "unit": "images"}
    return folder, made


def everything(root: Path) -> list[Chart]:
    """Every kind of chart there is."""
    one = report(task="converge", values=ROOFLINE, published=True, intervals={"throughput/core": (390, 410)})
    folder, serving = served(root / "served")
    runs = [
        RunResult(report=report(values=ROOFLINE, devices=n, vendor=vendor), folder=Path(f"{vendor}{n}"))
        for n in (1, 8)
        for vendor in ("nvidia", "amd")
    ]
    runs.append(RunResult(report=report(emulated=True), folder=Path("emulated")))
    return [*run_charts(trained(root / "trained"), one), *run_charts(folder, serving), *set_charts(runs)]


def test_everything_that_there_is_data_of_is_saved(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    paths = draw(folder, report(task="converge", values=ROOFLINE, published=True))
    names = ["throughput", "loss", "step_times", "quality_samples", "quality_time", "quality_energy", "power", "clocks"]
    names += ["utilisation", "temperature", "roofline", "published"]
    assert [path.name for path in paths] == [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert all(path.parent == folder / "plots" for path in paths)
    assert all(path.read_bytes().startswith(PNG if path.suffix == ".png" else b"<svg") for path in paths)


def test_a_served_run_has_its_charts_and_none_of_training(tmp_path: Path) -> None:
    folder, made = served(tmp_path)
    write_steps(folder)
    assert [chart.name for chart in run_charts(folder, made)] == [
        "latency", "latency_shares", "ttft_shares", "token_gaps", "batch_sizes", "numerics", "coverage"
    ]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_vega_lite_takes_every_chart(tmp_path: Path, language: Language, capfd: pytest.CaptureFixture[str]) -> None:
    with speaking(language):
        charts = everything(tmp_path)
        drawn = {chart.name: require_drawable(chart) for chart in charts}
    assert len(drawn) >= 22
    assert capfd.readouterr().err == "", "Vega-Lite warns of what it cannot honour"
    assert all("NaN" not in svg and "undefined" not in svg and "Infinity" not in svg for svg in drawn.values())


def test_every_axis_has_its_unit(tmp_path: Path) -> None:
    dimensionless = {"optimizer step"}
    for chart in everything(tmp_path):
        for title in axis_titles(chart):
            assert title is None or "(" in title or title in dimensionless or "per device" in title, chart.name


def test_charts_fit_any_page(tmp_path: Path) -> None:
    for chart in everything(tmp_path):
        assert chart.spec.keys() <= {"layer", "data", "height", "$schema"}, "one view of layers, no theme, no width"
        assert "#000" not in json.dumps(chart.spec) and "white" not in json.dumps(chart.spec)
        assert len(json.dumps(chart.spec)) < 200_000, chart.name
    assert LIGHT.keys() == DARK.keys()


def test_no_file_is_no_chart(tmp_path: Path) -> None:
    assert run_charts(tmp_path, report()) == []
    assert draw(tmp_path, report()) == [] and not (tmp_path / "plots").exists()


def test_a_half_written_folder_has_what_is_whole(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "power.csv").write_text("another,table\n")
    (folder / "steps.csv").write_text(
        "rank,step,phase,seconds,core_seconds,samples,tokens,loss\n0,1,window,1,1,8,,2\n0,2,w"
    )
    (folder / "requests.csv").write_text("request,segment\n1")
    (folder / "run.yaml").write_text("task: [")
    assert [chart.name for chart in run_charts(folder, report())] == ["throughput", "loss"]


def test_repeats_are_drawn_each(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    for number in (1, 2):
        part = folder / "repeats" / str(number)
        part.mkdir(parents=True)
        make_case(tmp_path).save(part / "run.yaml")
        write_steps(part, steps=60, ranks=1)
    charts = run_charts(folder, report())
    assert [chart.name for chart in charts] == [
        "throughput_repeat1",
        "loss_repeat1",
        "throughput_repeat2",
        "loss_repeat2",
    ]
    assert charts[2].title == "Throughput over time, repeat 2"


@pytest.mark.parametrize("emulated", [True, False])
def test_emulated_is_written_across_and_above(tmp_path: Path, emulated: bool) -> None:
    folder = make_folder(tmp_path)
    write_steps(folder, steps=60)
    made = report(emulated=emulated, name="train_bert_tiny")
    for svg in (path for path in draw(folder, made) if path.suffix == ".svg"):
        assert (svg.read_text().count(">EMULATED") == 2) == emulated
        assert "train_bert_tiny" in svg.read_text()
    for chart in run_charts(folder, made):
        assert ("EMULATED" in json.dumps(chart.spec)) == emulated, "on a page, too"


def test_a_note_stands_in_the_picture_in_lines(tmp_path: Path) -> None:
    chart = Chart(name="a", title="A", spec={"layer": []}, note="word " * 200)
    lines = pictured(chart, emulated=False, subtitle="run")["title"]["subtitle"]
    assert lines[0] == "run" and len(lines) == 5 and max(map(len, lines)) <= 102 and lines[-1].endswith("…")
    chart.note = "峰值" * 60
    lines = pictured(chart, emulated=False)["title"]["subtitle"]
    assert [len(line) for line in lines] == [50, 50, 20]


def test_the_parent_that_draws_imports_no_torch_and_altair_only_to_draw() -> None:
    code = "import sys, runner.views.charts.run, runner.views.charts.several;"
    code += "print([name for name in ('torch', 'altair', 'vl_convert', 'scipy', 'mlflow') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

"""One tiny case in every framework through the command line: the same figures, and a precision that was looked at."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from command import Ended, run
from framework_run import records, run_cases

from runner.core.events import Name, read_events

HOST = Path(__file__).resolve().parents[1] / "support" / "megatron_host.py"
SMOKE = ("measure=smoke", "vendor=cpu", "scale=tiny", "data=synthetic", "measure.warmup.max_steps=4")
SHORT = ("measure.warmup.block_steps=2", "measure.window.min_s=0.1", "measure.window.min_steps=4")
CASES = {
    "jax": ("jax", "model=resnet50"),
    "paddle": ("paddle", "model=llama1_7B"),
    "tensorflow": ("tensorflow", "model=resnet50"),
}
"""Framework to its package and its case; MindSpore's environment is its own, and so is its test."""


@pytest.fixture(scope="module", params=sorted(CASES))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Ended]:
    framework = str(request.param)
    package, model = CASES[framework]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    return framework, run(tmp_path_factory.mktemp(framework), f"framework={framework}", model, *SMOKE, *SHORT)


def report_of(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.out
    (report,) = ended.found
    return report


def test_it_runs_and_tells_what_every_framework_tells(trained: tuple[str, Ended]) -> None:
    framework, ended = trained
    report = report_of(ended)
    figures = {name: figure["value"] for name, figure in report["figures"].items()}
    assert report["case"]["framework"] == framework
    needed = ("throughput/steady", "step/p50_ms", "time/init_s", "run/window_s", "memory/host_peak_rss_gib")
    assert all(figures[name] > 0 for name in needed), {name: figures[name] for name in needed}
    assert figures["compute/flops_per_sample"] > 0, "counted as the original"


def test_throughput_is_samples_over_the_window(trained: tuple[str, Ended]) -> None:
    """By hand: rows of `steps.csv` in the window, times the batch, over the seconds between its edges."""
    _, ended = trained
    figures = report_of(ended)["figures"]
    lines = [line.split(",") for line in (ended.folder / "steps.csv").read_text().splitlines()]
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    samples = sum(int(row["samples"]) for row in rows if row["phase"] == "window")
    expected = samples / figures["run/window_s"]["value"]
    assert figures["throughput/steady"]["value"] == pytest.approx(expected, rel=1e-6)


def test_the_precision_was_probed_on_the_framework_itself(trained: tuple[str, Ended]) -> None:
    _, ended = trained
    events, _ = read_events(ended.folder / "events" / "rank0.log")
    (probed,) = [event.value for event in events if event.name == Name.PRECISION]
    assert probed["parameters"] == ["float32"] and probed["autocast"] is None
    assert probed["matmul_mantissa_bits"] == 23 and probed["convolution_mantissa_bits"] in (23, None)


def test_megatron_trains_where_tests_lend_it_a_device(tmp_path: Path) -> None:
    """Through the measuring core with the shims of `megatron_host.py`: the command line refuses the host."""
    if find_spec("megatron") is None or find_spec("megatron.core") is None:
        pytest.skip("megatron-core is not installed")
    words = ["framework=megatron", "model=gpt3_345m", "data=synthetic", "model.train.batch_size=4"]
    run_cases(tmp_path, {"case": words}, steps=3, script=str(HOST))
    found = records(tmp_path / "case")
    assert [one["samples"] for one in found] == [4.0] * 3
    assert found[2]["loss"] < found[0]["loss"], "the batch is the same in every step"

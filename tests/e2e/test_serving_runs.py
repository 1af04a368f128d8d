"""Whole runs of task=infer through the command line: a trained model is served as good as it was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import Ended, run

from runner.core.events import Name, read_events
from runner.record.task import figures_for
from runner.serving.load.requests import read_requests

SMOKE = ("measure=smoke", "vendor=cpu", "model=toy")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return run(tmp_path_factory.mktemp("converge"), "task=converge", *SMOKE)


@pytest.fixture(scope="module")
def served(trained: Ended, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The trained model on two engines, as a sweep."""
    root = tmp_path_factory.mktemp("infer")
    options = (f"weights={trained.folder}", "compiler=eager,onnxruntime", f"data.cache={root / 'cache'}")
    return run(root, "-m", "task=infer", *SMOKE, *options)


def by_engine(ended: Ended) -> dict[str, dict[str, Any]]:
    return {report["case"]["compiler"]: report for report in ended.found}


def values(report: dict[str, Any]) -> dict[str, Any]:
    return {name: figure["value"] for name, figure in report["figures"].items()}


def folder_of(ended: Ended, engine: str) -> Path:
    (found,) = (
        path.parent
        for path in ended.root.glob("*/*/*/run.yaml")
        if yaml.safe_load(path.read_text())["compiler"]["name"] == engine
    )
    return found


def test_every_engine_answers_as_well_as_the_run_that_trained(trained: Ended, served: Ended) -> None:
    assert trained.code == 0 and served.code == 0, served.out
    (converged,) = trained.reports.values()
    quality = values(converged)["quality/error"]
    for report in by_engine(served).values():
        found = values(report)
        assert found["accuracy/error"] == pytest.approx(quality, rel=1e-4)
        assert found["accuracy/reference"] == pytest.approx(quality, rel=1e-4) and found["accuracy/gate_passed"] == 1
        assert found["accuracy/samples"] == 16, "three full batches of 5 and a tail of one row"
        assert list(report["figures"]) == figures_for("infer", ["error"])
        assert all((one["value"] is None) == bool(one["reason"]) for one in report["figures"].values())


def test_speed_is_that_of_the_requests_written_down(served: Ended) -> None:
    for engine in ("eager", "onnxruntime"):
        folder, found = folder_of(served, engine), values(by_engine(served)[engine])
        requests = read_requests(folder)
        events, _ = read_events(folder / "events" / "rank0.log")
        seconds = sum(event.value["seconds"] for event in events if event.name == Name.SEGMENT_END)
        assert found["infer/requests"] == len(requests)
        assert found["infer/samples_per_second"] == pytest.approx(5 * len(requests) / seconds)
        latencies = sorted(1e3 * (one.ended_s - one.arrived_s) for one in requests)
        assert latencies[0] <= found["infer/latency_p50_ms"] <= latencies[-1]
        assert found["infer/latency_mean_ms"] == pytest.approx(sum(latencies) / len(latencies))


def test_flops_and_points(served: Ended) -> None:
    for report in by_engine(served).values():
        assert values(report)["compute/flops_per_sample"] == 2 * 4
        rows = {(row["batch_size"], row["copies"]) for row in report["points"]}
        assert rows == {(5, False), (1, True), (1, False)}
    eager, onnx = by_engine(served)["eager"], by_engine(served)["onnxruntime"]
    assert eager["figures"]["infer/compile_s"]["reason"] == "eager compiles nothing"
    assert values(onnx)["infer/coverage"] == 1 and values(onnx)["infer/compile_s"] > 0
    assert onnx["precision"] == {"weights": ["float32"], "compute": ["float32"], "source": "graph"} | {
        "detail": "1 of 1 products in float32",
        "products": {"float32": 1},
    }


def test_one_reference_is_made_for_both_engines(served: Ended) -> None:
    cache = served.root / "cache" / "reference"
    (reference,) = cache.iterdir()
    assert json.loads((reference / "reference.json").read_text())["accuracy"]["samples"] == 16
    made = []
    for engine in ("eager", "onnxruntime"):
        events, _ = read_events(folder_of(served, engine) / "events" / "rank0.log")
        made += [event.value["made_now"] for event in events if event.name == Name.REFERENCE]
    assert sorted(made) == [False, True]


@pytest.mark.heavy
def test_a_missed_gate_is_a_result_with_its_figures(trained: Ended, tmp_path: Path) -> None:
    """bfloat16 has three digits: the error of a nearly perfect line becomes many times as large."""
    options = (f"weights={trained.folder}", "precision=bf16_true", f"data.cache={tmp_path / 'cache'}")
    ended = run(tmp_path, "task=infer", *SMOKE, *options)
    (report,) = ended.reports.values()
    assert (ended.code, report["error"]["class"]) == (8, "GateMissedError"), ended.out
    assert "of the fp32 reference's" in report["error"]["message"]
    found = values(report)
    assert found["accuracy/gate_passed"] == 0 and found["infer/samples_per_second"] > 0
    assert found["compute/flops_per_sample"] == 2 * 4, "what was missed does not undo what was measured"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("load=server",), 2, "load=server needs load.rate"),
        (("task=train", "compiler=onnxruntime"), 2, "compiler=onnxruntime compiles models that are served"),
        (("task=train", "precision=int8"), 2, "precision=int8"),
        (("topology=node", "topology.devices=2"), 2, "serves from one device"),
        (("weights=/nowhere.pth",), 5, "/nowhere.pth is not there"),
        (("load.clents=3",), 2, "load.clients"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, options: tuple[str, ...], code: int, said: str) -> None:
    task = () if any(one.startswith("task=") for one in options) else ("task=infer",)
    ended = run(tmp_path, *task, *SMOKE, *options)
    assert ended.code == code and said in ended.out, ended.out

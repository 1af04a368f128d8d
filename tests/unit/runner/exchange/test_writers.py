"""What our writers write is read back with the same numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import report_samples

from runner.core.errors import ConfigurationError
from runner.core.events import EventWriter, Name
from runner.exchange.writers import WRITERS
from runner.record.report import Figure, Report

Imports = Callable[..., list[Report]]
TRAINED = {
    "throughput/whole": 4475.1,
    "throughput/train": 4586.25,
    "throughput/core": 4659.123456789,
    "time/e2e_s": 28661.5,
    "memory/device_peak_used_gib": 5.8,
    "quality/mlm_accuracy": 0.7125,
    "quality/mlm_accuracy_last": 0.7111,
    "quality/reached": 1.0,
    "time/to_target_s": 120.5,
    "time/train_s": 130.25,
}


@dataclass
class _Run:
    report: Report
    folder: Path


def _trained(folder: Path, **changes: object) -> _Run:
    made = report_samples.report(values=TRAINED, task="converge", devices=8, **changes)  # type: ignore[arg-type]
    return _Run(report=made, folder=folder)


def _served(folder: Path) -> _Run:
    """A served model: its own batch, one beside it, and an engine that told no coverage."""
    values = {
        "infer/samples_per_second": 8000.125,
        "infer/core_samples_per_second": 9000.5,
        "infer/latency_mean_ms": 3.999,
        "infer/latency_p50_ms": 3.9,
        "infer/latency_p99_ms": 4.75,
        "infer/requests": 1500.0,
        "infer/compile_s": 12.5,
        "accuracy/f1": 0.8765503,
        "accuracy/reference": 0.8801,
        "numerics/mean_abs": 0.00125,
        "numerics/max_abs": 0.5,
        "compute/mfu": 0.125,
        "time/e2e_s": 77.25,
    }
    case = report_samples.case(task="infer", model="bert_base", compiler="onnxruntime", precision="fp16", batch_size=32)
    blank = report_samples.report()
    made = replace(
        blank,
        case=case,
        figures={name: Figure(value=value, unit="x") for name, value in values.items()}
        | {"infer/coverage": Figure(value=None, unit="1", reason="the engine does not tell")},
        points=[
            {"batch_size": 8, "copies": True, "samples_per_second": 5000.5, "requests": 700, "latency_p99_ms": 2.125},
            {"batch_size": 8, "copies": False, "samples_per_second": 5100.0, "requests": 700},
            {"batch_size": 32, "copies": False, "samples_per_second": 9000.5, "requests": 1500},
        ],
    )
    return _Run(report=made, folder=folder)


def _kept(names: list[str], before: Report, after: Report) -> None:
    assert {name: after.figures[name].value for name in names} == {name: before.figures[name].value for name in names}


def test_flagperfs_training_table(imports: Imports, tmp_path: Path) -> None:
    run = _trained(tmp_path)
    text = WRITERS["flagperf"]([run])
    assert "| 配置 | precision | fix_hp | e2e_time | p_whole | p_train | p_core | mlm_accuracy | mem |" in text
    cells = "fp32 | / | 28661.5 | 4475.1 | 4586.25 | 4659.123456789 | 0.7111 | 5.8/"
    assert f"| A100-SXM4-40GB单机8卡（1x8） | {cells}" in text  # noqa: RUF001 -- as FlagPerf writes it
    (tmp_path / "README.md").write_text(text)
    (back,) = imports(tmp_path / "README.md")
    three = [f"throughput/{one}" for one in ("whole", "train", "core")]
    _kept([*three, "time/e2e_s", "memory/device_peak_used_gib", "quality/mlm_accuracy_last"], run.report, back)
    assert [back.case[key] for key in ("task", "model", "precision", "devices", "batch_size", "vendor")] == [
        *("converge", "bert", "fp32", 8, 24, "nvidia")
    ]


def test_flagperfs_setting_names_the_nodes(imports: Imports, tmp_path: Path) -> None:
    text = WRITERS["flagperf"]([_trained(tmp_path, topology="cluster", nodes=2)])
    assert "| A100-SXM4-40GB2机4卡（2x4） |" in text  # noqa: RUF001 -- as FlagPerf writes it
    (tmp_path / "README.md").write_text(text)
    (back,) = imports(tmp_path / "README.md")
    assert back.case["devices"] == 8


def test_flagperfs_table_shows_changed_hyper_parameters_and_what_was_not_measured(tmp_path: Path) -> None:
    changed = [{"key": "model.train.batch_size", "reference": 24, "value": 96, "allowed": True}]
    run = _trained(tmp_path, changed=changed, without=("time/e2e_s", "memory/device_peak_used_gib"))
    row = next(line for line in WRITERS["flagperf"]([run]).splitlines() if line.startswith("| A100"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2:4] == ["batch_size=96", "/"]
    assert cells[-1] == "/"


def test_flagperfs_inference_table(imports: Imports, tmp_path: Path) -> None:
    run = _served(tmp_path)
    (tmp_path / "README.md").write_text(WRITERS["flagperf"]([run]))
    (back,) = imports(tmp_path / "README.md")
    names = ["infer/samples_per_second", "infer/core_samples_per_second", "accuracy/f1", "accuracy/reference"]
    _kept([*names, "compute/mfu", "time/e2e_s"], run.report, back)
    assert back.case["compiler"] == "onnxruntime"


def test_two_models_have_two_tables(imports: Imports, tmp_path: Path) -> None:
    runs = [_trained(tmp_path / "a"), _served(tmp_path / "b"), _trained(tmp_path / "c", seed=7)]
    text = WRITERS["flagperf"](runs)
    assert text.count("* 性能指标") == 2
    (tmp_path / "README.md").write_text(text)
    assert [one.case["seed"] for one in imports(tmp_path / "README.md")] == [1234, 7, 1234]


@pytest.mark.parametrize("name", ["flagperf", "mllog"])
def test_an_emulated_tiny_run_looks_like_one(imports: Imports, tmp_path: Path, name: str) -> None:
    run = _trained(tmp_path, emulated=True, scale="tiny")
    text = WRITERS[name]([run])
    assert "EMULATED TINY" in text
    path = tmp_path / ("README.md" if name == "flagperf" else "log.txt")
    path.write_text(text)
    (back,) = imports(path)
    assert back.case["emulated"] is True
    assert back.case["scale"] == "tiny"


def test_bytemlperfs_json(imports: Imports, tmp_path: Path) -> None:
    run = _served(tmp_path)
    text = WRITERS["bytemlperf"]([run])
    content = json.loads(text)
    assert content["Model"] == "BERT_BASE"
    assert content["Graph Compile"] == {
        "Compile Duration": 12.5,
        "Compile Precision": "FP16",
        "Subgraph Coverage": None,
    }
    assert content["Accuracy"]["F1 Score"] == 87.65503
    assert content["Performance"] == [
        {"BS": 32, "QPS": 8000.125, "AVG Latency": 3.999, "P99 Latency": 4.75, "P50 Latency": 3.9, "Iterations": 1500},
        {"BS": 8, "QPS": 5000.5, "AVG Latency": None, "P99 Latency": 2.125, "P50 Latency": None, "Iterations": 700},
    ]
    (tmp_path / "result.json").write_text(text)
    (back,) = imports(tmp_path / "result.json")
    speeds = ["samples_per_second", "latency_mean_ms", "latency_p50_ms", "latency_p99_ms", "requests", "compile_s"]
    _kept(
        [*(f"infer/{one}" for one in speeds), "accuracy/f1", "numerics/mean_abs", "numerics/max_abs"], run.report, back
    )
    assert back.figures["infer/coverage"].value is None
    assert back.case["batch_size"] == 32  # the case's own, though a further one is there
    assert [point["samples_per_second"] for point in back.points] == [8000.125, 5000.5]


def test_several_results_are_a_list(imports: Imports, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(WRITERS["bytemlperf"]([_served(tmp_path), _served(tmp_path)]))
    assert len(imports(tmp_path / "result.json")) == 2


@pytest.mark.parametrize(
    ("layout", "batches"), [("data", 8), ("fsdp 8", 8), ("fsdp 4, tensor 2", 4), ("tensor 8", 1), ("zero 3", 8)]
)
def test_the_global_batch_has_a_groups_batch_once(tmp_path: Path, layout: str, batches: int) -> None:
    text = WRITERS["mllog"]([_trained(tmp_path, layout=layout)])
    lines = [json.loads(line.removeprefix(":::MLLOG ")) for line in text.splitlines()]
    (told,) = [line["value"] for line in lines if line["key"] == "global_batch_size"]
    assert told == 24 * batches * 4


def test_mllog_lines(imports: Imports, tmp_path: Path) -> None:
    run = _trained(tmp_path)
    writer = EventWriter(tmp_path / "events" / "rank0.log", rank=0)
    writer.emit(Name.INIT_START, {}, at=(1_700_000_000_000, 1.0))
    writer.emit(Name.TRAIN_START, {"step": 0}, at=(1_700_000_010_000, 11.0))
    quality = {"quality": {"mlm_accuracy": 0.7125}, "samples": 4800, "reached": True}
    writer.emit(Name.EVALUATE, quality, at=(1_700_000_100_000, 101.0))
    text = WRITERS["mllog"]([run])
    lines = [json.loads(line.removeprefix(":::MLLOG ")) for line in text.splitlines()]
    by_key = {line["key"]: line for line in lines}
    assert by_key["submission_benchmark"]["value"] == "bert"
    assert by_key["global_batch_size"]["value"] == 24 * 8 * 4
    assert by_key["run_start"]["time_ms"] == 1_700_000_010_000
    assert by_key["run_stop"]["time_ms"] - by_key["run_start"]["time_ms"] == 120_500
    assert by_key["run_stop"]["metadata"]["status"] == "success"
    assert by_key["eval_accuracy"]["metadata"]["samples_count"] == 4800
    (tmp_path / "log.txt").write_text(text)
    (back,) = imports(tmp_path / "log.txt")
    _kept([name for name in run.report.figures if not name.startswith("run/")], run.report, back)
    assert back.figures["throughput/steady"].unit == "sequences/s"


def test_a_run_that_failed_is_written_as_failed(imports: Imports, tmp_path: Path) -> None:
    made = report_samples.failed(task="converge")
    text = WRITERS["mllog"]([_Run(report=made, folder=tmp_path)])
    assert '"status": "aborted"' in text
    (tmp_path / "log.txt").write_text(text)
    (back,) = imports(tmp_path / "log.txt")
    assert back.status == "failed"


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        ("bytemlperf", "train", "is task=train"),
        ("mllog", "inspect", "is task=inspect"),
        ("flagperf", "inspect", "is task=inspect"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, name: str, task: str, said: str) -> None:
    run = _Run(report=report_samples.report(task=task), folder=tmp_path)
    with pytest.raises(ConfigurationError, match=said):
        WRITERS[name]([run])


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        WRITERS[name]([])


def test_mllog_holds_one_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds one run, and there are 2"):
        WRITERS["mllog"]([_trained(tmp_path), _trained(tmp_path)])


def test_a_changed_table_is_refused(imports: Imports, tmp_path: Path) -> None:
    text = WRITERS["flagperf"]([_trained(tmp_path), _trained(tmp_path, seed=7)])
    lines = text.splitlines()
    (tmp_path / "README.md").write_text("\n".join(lines[:-1]))
    with pytest.raises(ConfigurationError, match="with 2 rows and has 1: it was changed since"):
        imports(tmp_path / "README.md")


def test_a_later_form_of_ours_is_refused(imports: Imports, tmp_path: Path) -> None:
    text = WRITERS["bytemlperf"]([_served(tmp_path)]).replace('"form": 1', '"form": 9')
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"another version of Touchstone \(form 9\); known: 1"):
        imports(tmp_path / "result.json")


@pytest.mark.parametrize(("name", "file"), [("mllog", "log.txt"), ("flagperf", "README.md")])
def test_a_result_whose_model_nobody_knows_is_written_under_its_name(
    imports: Imports, data: Path, tmp_path: Path, name: str, file: str
) -> None:
    (first,) = imports(data / "mllog" / "aborted.txt")
    text = WRITERS[name]([_Run(report=first, folder=tmp_path)])
    assert "None" not in text
    assert "IMPORTED" in text
    (tmp_path / file).write_text(text)
    (back,) = imports(tmp_path / file)
    assert back.case["model"] is None
    assert back.figures["quality/evaluation_loss_last"].value == 0.96

"""FlagPerf's logs and tables: figures by hand, and every trap of their units."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.core.errors import ConfigurationError
from runner.exchange.flagperf import reader as flagperf
from runner.record.report import Report

Imports = Callable[..., list[Report]]
LayOut = Callable[..., Path]


def _values(report: Report) -> dict[str, float]:
    return {
        name: figure.value
        for name, figure in report.figures.items()
        if figure.value is not None and not name.startswith("run/")
    }


def _finished(folder: Path, model: str, **value: object) -> Path:
    """A rank log of a model's case that tells only FINISHED."""
    place = folder / f"{model}:pytorch:A100:1:8:1" / "round1" / "h_noderank0"
    place.mkdir(parents=True)
    event = {"event": "FINISHED", "value": value, "metadata": {"file": "f", "lineno": 1, "time_ms": 1, "rank": -1}}
    (place / "rank0.out.log").write_text(f"[PerfLog] {json.dumps(event)}\n")
    return place.parent


def test_a_round_has_the_figures_of_its_first_rank_and_its_monitors(imports: Imports, flagperf_run: LayOut) -> None:
    (report,) = imports(flagperf_run())
    assert _values(report) == {
        "quality/top1": 0.7575,  # the best of 74.25, 75.75, 75.5 %
        "quality/top1_last": 0.755,
        "quality/reached": 1.0,
        "throughput/whole": 1200.5,
        "throughput/whole_per_device": 600.25,
        "throughput/train": 1233.75,
        "throughput/train_per_device": 616.875,
        "throughput/core": 1263.625,
        "throughput/core_per_device": 631.8125,
        "time/e2e_s": 1026.5,
        "time/train_s": 1000.0,
        "memory/device_peak_used_gib": 20.0,  # 20480 MiB
        "power/device_peak_w": 780.5,  # 391 + 389.5; the third moment lacks a card
        "device/temperature_max_c": 62.0,
    }
    assert report.figures["throughput/whole"].unit == "images/s"
    assert report.status == "done"
    told = ("task", "model", "framework", "vendor", "devices", "chip", "precision", "batch_size", "scale")
    assert [report.case[key] for key in told] == [
        "converge",
        "resnet50",
        "pytorch",
        "nvidia",
        2,
        None,
        None,
        None,
        None,
    ]


def test_what_the_log_does_not_tell_is_null_with_its_reason(imports: Imports, flagperf_run: LayOut) -> None:
    (report,) = imports(flagperf_run())
    figure = report.figures["throughput/steady"]
    assert (figure.value, figure.reason) == (None, "not in FlagPerf's output")
    assert report.figures["power/device_mean_w"].value is None
    assert report.figures["run/publishable"].value == 0.0
    assert any(one.startswith("Not taken over: pwr_monitor.log") for one in report.warnings)
    assert any(one.startswith("Not taken over: train_no_eval_time") for one in report.warnings)


def test_it_says_where_it_comes_from_and_is_never_publishable(imports: Imports, flagperf_run: LayOut) -> None:
    (report,) = imports(flagperf_run())
    assert report.imported["format"] == "flagperf"
    assert report.imported["file"] == "resnet50:pytorch_2.0:A100:1:2:1/round1/10.1.0.1_noderank0/rank0.out.log"
    assert len(report.imported["sha256"]) == 64
    assert report.publication is not None
    rule = next(one for one in report.publication.rules if one["rule"] == "origin")
    assert (rule["outcome"], rule["text"]) == ("failed", "measured by another tool (flagperf)")


def test_a_single_log_tells_no_devices_and_no_metric_whose_unit_is_open(
    imports: Imports, data: Path, tmp_path: Path
) -> None:
    log = tmp_path / "rank0.out.log"
    event = {"event": "FINISHED", "value": {"throughput(sps)_raw": 5.5, "final_acc": 0.75, "converged": False}}
    log.write_text(f"[PerfLog] {json.dumps(event)}\n")
    (report,) = imports(log)
    assert report.case["devices"] is None
    assert report.figures["throughput/whole"].value == 5.5
    assert report.figures["throughput/whole"].unit == "samples/s"
    assert report.figures["throughput/whole_per_device"].value is None
    assert report.figures["quality/reached"].value == 0.0
    assert not any(name.startswith("quality/accuracy") for name in report.figures)  # a fraction, or 0.75 %?
    assert any("per cent or a fraction" in one for one in report.warnings)


def test_rates_of_two_nodes_are_the_whole_jobs(imports: Imports, flagperf_run: LayOut) -> None:
    (report,) = imports(flagperf_run(key="resnet50:pytorch:A100:2:2:1", nodes=2))
    assert report.case["devices"] == 4
    assert report.figures["throughput/whole"].value == 1200.5  # node 0's FINISHED, not the sum of both
    assert report.figures["throughput/whole_per_device"].value == 300.125
    assert report.figures["power/device_peak_w"].value is None


def test_power_of_cards_that_the_run_did_not_use_is_not_its_own(imports: Imports, flagperf_run: LayOut) -> None:
    (report,) = imports(flagperf_run(key="resnet50:pytorch:A100:1:1:1"))
    figure = report.figures["power/device_peak_w"]
    assert (figure.value, figure.reason) == (None, "the host shows 2 cards, and the run used 1 of them")


@pytest.mark.parametrize(
    ("model", "key", "value", "figure", "expected"),
    [
        ("bigtransfer", "final_mAP", 0.84192, "quality/top1_last", 0.84192),  # a top-1 that is called mAP
        ("cpm", "final_mlm_accuracy", 0.92, "quality/embedding_average_last", 0.92),  # a cosine that is called accuracy
        ("vit", "final_acc1", 80.024, "quality/top1_last", 0.80024),  # per cent
        ("vit", "final_acc1", 0.5, "quality/top1_last", 0.005),  # half a per cent, early in training
        ("transformer_xl", "final_ppl", 54.2, "quality/perplexity_last", 54.2),  # no ratio
        ("detr", "final_mAP", 0.405, "quality/box_map_last", 0.405),
    ],
)
def test_metrics_by_their_case(  # noqa: PLR0917 -- a row of the table above
    imports: Imports, tmp_path: Path, model: str, key: str, value: float, figure: str, expected: float
) -> None:
    (report,) = imports(_finished(tmp_path, model, **{key: value}))
    assert report.figures[figure].value == expected


def test_rates_in_another_unit_than_the_model_counts_are_refused_by_name(imports: Imports, tmp_path: Path) -> None:
    folder = _finished(tmp_path, "gpt2", training_tokens_per_second=50000.0)
    (report,) = imports(folder)
    figure = report.figures["throughput/whole"]
    assert (figure.value, figure.reason) == (None, "counted in tokens, and the model counts sequences")
    log = folder / "h_noderank0" / "rank0.out.log"
    elsewhere = tmp_path / "rank0.out.log"
    elsewhere.write_bytes(log.read_bytes())
    with pytest.raises(
        ConfigurationError, match="throughput/whole: counted in tokens, and model=resnet50 counts images"
    ):
        imports(elsewhere, "model=resnet50")


def test_core_of_a_case_that_does_not_wait_for_the_device_is_doubted(imports: Imports, tmp_path: Path) -> None:
    (report,) = imports(_finished(tmp_path, "faster_rcnn", **{"throughput(ips)_pure_compute": 298.0}))
    assert any(one.startswith("throughput/core may be too high") for one in report.warnings)
    (waits,) = imports(_finished(tmp_path / "b", "resnet50", **{"throughput(ips)_pure_compute": 298.0}))
    assert not any(one.startswith("throughput/core may be too high") for one in waits.warnings)


def test_two_metrics_have_no_best(imports: Imports, tmp_path: Path) -> None:
    (report,) = imports(_finished(tmp_path, "mask_rcnn", final_map_bbox=0.376, final_map_segm=0.336))
    assert report.figures["quality/box_map_last"].value == 0.376
    assert report.figures["quality/mask_map_last"].value == 0.336
    assert report.figures["quality/box_map"].value is None


def test_a_language_model_tells_tokens_of_the_job(imports: Imports, flagperf_run: LayOut) -> None:
    (report,) = imports(flagperf_run(key="llama2_7b:deepspeed:A800:1:8:1", kind="llm"))
    assert report.figures["throughput/tokens_per_second"].value == 28512.0
    assert report.figures["compute/mfu"].value is None
    assert "7e9" in (report.figures["compute/mfu"].reason or "")


def test_megatrons_last_iteration_is_not_taken_for_an_average(imports: Imports, flagperf_run: LayOut) -> None:
    (report,) = imports(flagperf_run(key="llama2_7b:megatron-deepspeed:A800:1:8:1", kind="llm"))
    assert report.figures["throughput/tokens_per_second"].value is None


def test_a_run_without_end_failed(imports: Imports, tmp_path: Path) -> None:
    log = tmp_path / "rank3.out.log"
    log.write_text('[PerfLog] {"event": "INIT_START", "metadata": {}}\n[PerfLog] {"event": "STEP_E')
    (report,) = imports(log)
    assert (report.status, report.exit_code) == ("failed", 1)
    assert report.error is not None
    assert report.error["class"] == "NotFinished"
    assert "1 event lines of the log are cut off and were not read." in report.warnings


def test_an_empty_log_is_refused(imports: Imports, tmp_path: Path) -> None:
    log = tmp_path / "rank0.out.log"
    log.write_text("nothing of FlagPerf\n")
    with pytest.raises(ConfigurationError, match="holds no line of FlagPerf"):
        imports(log)


def test_a_figure_that_is_no_number_is_not_zero(imports: Imports, tmp_path: Path) -> None:
    log = tmp_path / "rank0.out.log"
    log.write_text('[PerfLog] {"event": "FINISHED", "value": {"e2e_time": NaN, "throughput(ips)_raw": 7.0}}\n')
    (report,) = imports(log)
    assert report.figures["time/e2e_s"].value is None
    assert report.figures["throughput/whole"].value == 7.0


def test_a_monitor_alone(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "flagperf" / "node" / "nvidia_monitor.log")
    assert report.figures["memory/device_peak_used_gib"].value == 20.0
    assert report.case["vendor"] == "nvidia"
    assert report.case["task"] is None


def test_our_own_logs_are_not_taken_for_flagperfs(tmp_path: Path) -> None:
    log = tmp_path / "parent.log"
    log.write_text('[PerfLog] {"event": "LAUNCH_END", "value": {}, "metadata": {"time_ms": 1, "monotonic_s": 2.0}}\n')
    assert not flagperf.detect(log)


def test_a_table_of_a_readme(imports: Imports, data: Path) -> None:
    eight, one = imports(data / "flagperf" / "README_resnet50.md")
    assert _values(eight) == {
        "quality/top1_last": 0.755,
        "throughput/whole": 4000.0,
        "throughput/whole_per_device": 500.0,
        "throughput/train": 4100.0,
        "throughput/train_per_device": 512.5,
        "throughput/core": 4200.0,
        "throughput/core_per_device": 525.0,
        "time/e2e_s": 1000.0,
        "memory/device_peak_used_gib": 6.5,
    }
    assert [eight.case[key] for key in ("task", "model", "devices", "precision", "batch_size")] == [
        *("converge", "resnet50", 8, None, None)  # its fp32 is TF32 on Ampere
    ]
    assert [one.case[key] for key in ("task", "devices", "precision", "batch_size")] == ["train", 1, "fp16", 128]
    assert one.figures["time/e2e_s"].value is None


@pytest.mark.parametrize(
    ("case", "figure", "model"),
    [
        ("bertLarge", "infer/samples_per_second", "bert_large"),
        ("llama2_7b_mmlu", "infer/input_tokens_per_second", "llama2_7b_mmlu"),  # tokens of prompts, not questions
        ("stable_diffusion_v1_4", "infer/steps_per_second", "stable_diffusion_v1_4"),  # steps, not images
    ],
)
def test_what_an_inference_table_counts_depends_on_its_case(
    imports: Imports, tmp_path: Path, case: str, figure: str, model: str
) -> None:
    folder = tmp_path / "inference" / "benchmarks" / case
    folder.mkdir(parents=True)
    head = r"| 推理工具 | precision | bs | e2e_time | p_val_whole | p_val_core | p_infer_whole | \*p_infer_core | mem |"
    row = "| tensorrt | fp16 | 32 | 12.5 | 1 | 2 | 408.5 | 418.25 | 17.5/40.0 |"
    (folder / "README.md").write_text(f"{head}\n|{' --- |' * 9}\n{row}\n")
    (report,) = imports(folder / "README.md")
    assert report.case["model"] == model
    rates = ("infer/samples_per_second", "infer/input_tokens_per_second", "infer/steps_per_second")
    assert {name: report.figures[name].value for name in rates if report.figures[name].value is not None} == {
        figure: 408.5
    }


def test_prose_in_a_cell_is_left_out_by_name(imports: Imports, data: Path, tmp_path: Path) -> None:
    text = (data / "flagperf" / "README_resnet50.md").read_text().replace("| 1000 ", "| 3-4 days ")
    (tmp_path / "README.md").write_text(text)
    report = imports(tmp_path / "README.md")[0]
    assert report.figures["time/e2e_s"].value is None
    assert "Not taken over: e2e_time: the cell says '3-4 days', which is no number." in report.warnings


@pytest.mark.parametrize(
    ("case", "cell", "expected"),
    [
        ("stable_diffusion_v1_4", "25.2/25.3", {"accuracy/clip_score": 25.2}),  # no per cent
        ("sam_h", "0.89/1.0", {}),  # equal pixels, no IoU
        ("resnet50", "76.2/76.2", {"accuracy/top1": 0.762}),
    ],
)
def test_the_accuracy_of_an_inference_table(
    imports: Imports, tmp_path: Path, case: str, cell: str, expected: dict[str, float]
) -> None:
    folder = tmp_path / "inference" / "benchmarks" / case
    folder.mkdir(parents=True)
    head = r"| 推理工具 | precision | bs | p_infer_whole | acc(推理/验证) |"
    (folder / "README.md").write_text(f"{head}\n|{' --- |' * 5}\n| tensorrt | fp32 | 32 | 10.5 | {cell} |\n")
    (report,) = imports(folder / "README.md")
    names = [name for name in report.figures if name.startswith("accuracy/")]
    assert {name: report.figures[name].value for name in names if report.figures[name].value is not None} == expected

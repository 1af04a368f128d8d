"""A run's description: its first lines say what was run, what must be known, and the numbers."""

from __future__ import annotations

from pathlib import Path

import report_samples as samples
from tracking_samples import make_case

from runner.tracking.page.command import command
from runner.tracking.page.dataset import data_of
from runner.tracking.page.note import headline, missing, note

CASE = make_case(
    *(Path("outputs"), "task=train", "model=bert", "vendor=nvidia", "precision=fp32", "scale=reference"),
    *("topology=node", "topology.devices=8"),
)
VALUES = {"throughput/steady": 1234.5, "compute/mfu": 0.412}


def test_the_first_lines_are_the_case_and_its_numbers() -> None:
    report = samples.report(values=VALUES, intervals={"throughput/steady": (1200.0, 1270.0)})
    report.figures["run/publishable"].value, report.figures["run/publishable"].reason = 1.0, None
    lines = note(report, CASE, "outputs/a").split("\n\n")
    assert lines[0].startswith(
        "**train · bert · scale=reference · fp32 · NVIDIA GPU (A100-SXM4-40GB) x 8 · pytorch/eager"
    )
    assert lines[1].startswith("Throughput, steady: **1,234 sequences/s** (95 % interval: 1,200 to 1,270) · ")
    assert "Model FLOPs utilisation (MFU): **41.2 %**" in lines[1]
    assert "python -m runner.report outputs/a" in lines[-1]


def test_null_figures_are_told_with_their_reasons_and_never_as_numbers() -> None:
    report = samples.report(without=("energy/per_sample_j", "throughput/steady"), reason="no sensor | here")
    assert "throughput/steady" not in headline(report) and "throughput/steady" in missing(report)
    text = note(report, CASE, "outputs/a")
    assert "Throughput, steady (throughput/steady): no sensor \\| here" in text and "**0" not in text


def test_marks_come_before_the_numbers() -> None:
    report = samples.report(values=VALUES, emulated=True, scale="tiny")
    lines = note(report, CASE, "outputs/a").split("\n\n")
    assert lines[1] == "**EMULATED on the host CPU** · **TINY**"
    assert lines[2].startswith("Throughput, steady: **1,234 sequences/s**")
    assert "- EMULATED on the host CPU: says nothing about this vendor's chips" in "\n\n".join(lines[3:])


def test_a_failure_is_told_and_cannot_break_the_page() -> None:
    text = note(samples.failed(message="NaN | at\n## step <b>12</b>"), CASE, "outputs/my runs/a")
    assert "**DivergedError** (exit 7): NaN \\| at \\#\\# step \\<b\\>12\\</b\\>" in text
    assert "python -m runner.report 'outputs/my runs/a'" in text


def test_the_command_repeats_the_case() -> None:
    changed = [{"key": "model.train.batch_size", "reference": 32, "value": 64, "allowed": True}]
    changed += [{"key": "data.root", "reference": None, "value": "/d/a b", "allowed": True}]
    assert command(CASE, changed) == (
        "python -m runner task=train model=bert framework=pytorch compiler=eager vendor=nvidia precision=fp32 "
        "topology=node data=sample measure=standard topology.devices=8 model.train.batch_size=64 "
        "'data.root=\"/d/a b\"'"
    )


def test_the_command_tells_the_load() -> None:
    case = make_case(Path("outputs"), "task=infer", "model=resnet50", "load=server", "load.rate=20")
    words = command(case).split()
    assert {"load=server", "load.rate=20.0", "scale=tiny"} <= set(words)


def test_data_is_told_apart_by_what_it_is_and_not_by_where_it_lies() -> None:
    def of(*overrides: str) -> tuple[str, str]:
        data = data_of(make_case(Path("outputs"), *overrides))
        assert data is not None
        return data.name, data.digest

    sample = of("task=train", "model=bert")
    assert sample[0] == "sample data for bert" and sample == of("task=train", "model=bert", "precision=bf16", "seed=2")
    assert sample != of("task=train", "model=bert", "data=synthetic")
    assert sample[1] != of("task=train", "model=bert", "scale=reference")[1]
    real = of("task=train", "model=resnet50", "data=dataset", "data.root=/a")
    assert real == of("task=train", "model=resnet50", "data=dataset", "data.root=/b")

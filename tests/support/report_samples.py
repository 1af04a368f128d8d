"""Reports as runs leave them, made by hand for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.config.division import Division
from runner.record.report import Figure, Report
from runner.record.task import figures_for, task_named

NO_SENSOR = "no energy sensor: RAPL is not readable here (/sys/class/powercap needs root)"
TRAIN_VALUES: dict[str, float] = {
    "throughput/steady": 512.345,
    "throughput/steady_per_device": 512.345,
    "throughput/tokens_per_second": 32790.0,
    "roofline/throughput_samples_per_second": 1024.0,
    "roofline/fraction": 0.50034,
    "step/p50_ms": 62.45,
    "compute/parameters": 335_174_458,
    "compute/flops_per_sample": 1.1067e12,
    "compute/mfu": 0.41234,
    "memory/device_peak_allocated_gib": 11.52,
    "memory/host_peak_rss_gib": 2.25,
    "run/window_s": 30.4,
    "run/steady": 1.0,
    "run/emulated": 0.0,
    "run/publishable": 1.0,
    "overhead/fraction": 0.0012,
}
CONVERGE_VALUES: dict[str, float] = TRAIN_VALUES | {
    "quality/mlm_accuracy": 0.23123,
    "quality/target": 0.2,
    "quality/reached": 1.0,
    "time/to_target_s": 41.25,
    "convergence/samples_to_target": 12800,
}
INSPECT_VALUES: dict[str, float] = {
    "compute/parameters": 335_174_458,
    "compute/flops_per_sample": 1.1067e12,
    "compute/peak_flops_per_second": 3.12e14,
    "roofline/throughput_samples_per_second": 281.9,
    "estimate/weights_gib": 1.249,
    "estimate/total_gib": 6.5,
}
_VALUES = {"train": TRAIN_VALUES, "converge": CONVERGE_VALUES, "inspect": INSPECT_VALUES}
_METRICS = ("mlm_accuracy",)


def case(**changes: Any) -> dict[str, Any]:
    """The `case` of a report."""
    plain = {
        "task": "train",
        "model": "bert",
        "framework": "pytorch",
        "compiler": "eager",
        "vendor": "nvidia",
        "chip": "A100-SXM4-40GB",
        "precision": "fp32",
        "topology": "single",
        "devices": 1,
        "scale": "reference",
        "data": "sample",
        "measure": "standard",
        "seed": 1234,
        "unit": "sequences",
        "quality_mode": "max",
        "batch_size": 24,
        "gradient_accumulation_steps": 4,
        "quality_targets": {"mlm_accuracy": 0.2},
        "emulated": False,
        "identity": "0" * 64,
    }
    return plain | changes


def report(
    *,
    values: dict[str, float] | None = None,
    intervals: dict[str, tuple[float, float]] | None = None,
    published: bool = False,
    without: tuple[str, ...] = (),
    reason: str = NO_SENSOR,
    changed: list[dict[str, Any]] | None = None,
    division: str = "closed",
    warnings: list[str] | None = None,
    **changes: Any,
) -> Report:
    """A finished run; figures without a value get `reason`."""
    about = case(**changes)
    known = {name: value for name, value in (_VALUES[about["task"]] | (values or {})).items() if name not in without}
    names = figures_for(about["task"], _METRICS)
    task = task_named(about["task"])
    assert task is not None
    return Report(
        status="done",
        exit_code=0,
        error=None,
        case=about,
        figures={
            name: Figure(
                value=known.get(name),
                unit=task.unit_of(name, about["unit"]),
                reason=None if name in known else reason,
                interval=(intervals or {}).get(name),
            )
            for name in names
        },
        precision={"weights": "float32", "autocast": None},
        division=Division(name=division, changed=changed or []),  # type: ignore[arg-type]
        environment={},
        warnings=warnings or [],
        published=[
            {
                "chip": "A100-SXM4-40GB",
                "devices": 8,
                "precision": "fp16",
                "figure": "throughput/core",
                "value": 600,
                "source": "FlagPerf training/nvidia/bert-pytorch",
            }
        ]
        if published
        else [],
    )


def failed(*, message: str = "The loss became NaN at step 12.", **changes: Any) -> Report:
    """A run that ended before anything was measured."""
    about = case(**changes)
    task = task_named(about["task"])
    assert task is not None
    why = "the run ended with DivergedError before it was measured"
    return Report(
        status="failed",
        exit_code=7,
        error={"class": "DivergedError", "message": message},
        case=about,
        figures={
            name: Figure(value=None, unit=task.unit_of(name, about["unit"]), reason=why)
            for name in figures_for(about["task"], _METRICS)
        },
        precision={},
        division=Division(name="closed"),
        environment={},
        warnings=[],
    )


def saved(folder: Path, made: Report) -> Path:
    """A run folder that holds `made`."""
    folder.mkdir(parents=True)
    made.save(folder / "report.json")
    return folder

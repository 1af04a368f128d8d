"""Run folders written by hand: events whose figures are computed on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toy import toy_recipe

from hardware.spec import PrecisionSpec, VendorSpec
from models.datasets.spec import DataSpec
from models.training import Quality
from runner.config.schema import (
    Case,
    Compiler,
    FrameworkSpec,
    Measure,
    TaskOptions,
    Topology,
    Tracking,
    WarmUp,
    WindowSpec,
)
from runner.core.events import EventWriter, Name
from runner.record.report import Report
from runner.record.run_record import PARENT_LOG
from runner.results.build import build

NVIDIA = VendorSpec(
    name="nvidia",
    title="NVIDIA GPU",
    device="hardware.vendors.nvidia.Nvidia",
    visible_devices_env="CUDA_VISIBLE_DEVICES",
    communication_backend="nccl",
    precisions=("bf16",),
    tasks=("train",),
    meters=("nvml",),
)

A100 = "NVIDIA A100-SXM4-80GB"

PEAK, BANDWIDTH = 312e12, 2039e9

"""Dense bf16 and memory bandwidth of the A100 80GB SXM (NVIDIA A100 data sheet)."""

HEADER = "rank,step,phase,seconds,core_seconds,samples,tokens,loss"

ACCOUNT = {"parameters": 1000, "flops_per_sample": 1e12, "minimum_bytes_per_sample": 1e9}


def case(task: str = "train", *, vendor: VendorSpec = NVIDIA, devices: int = 2, emulate: bool = False) -> Case:
    quality = Quality(targets={"accuracy": 0.5}, mode="max", every_samples=80)
    return Case(
        task=TaskOptions(name=task),
        model=toy_recipe(quality=quality),
        framework=FrameworkSpec(name="pytorch"),
        compiler=Compiler(name="eager"),
        vendor=vendor,
        precision=PrecisionSpec(name="bf16", weights="float32", autocast="bfloat16", matmul="ieee"),
        topology=Topology(name="node", devices=devices),
        data=DataSpec(name="sample"),
        measure=Measure(
            name="standard",
            publishable=True,
            warmup=WarmUp(block_steps=2, blocks=2, tolerance=0.05, max_steps=20, max_s=100),
            window=WindowSpec(min_s=30, min_steps=4, max_s=1000),
        ),
        tracking=Tracking(name="none"),
        emulate=emulate,
    )


class Folder:
    """A run folder in the making."""

    def __init__(self, path: Path, made: Case) -> None:
        self.path = path
        path.mkdir(exist_ok=True, parents=True)
        made.save(path / "run.yaml")
        self.parent = EventWriter(path / "events" / PARENT_LOG, rank=-1)
        self.rank = EventWriter(path / "events" / "rank0.log", rank=0)
        self.clock_s = 1000.0

    def tell(self, name: Name, value: dict[str, Any] | None = None, *, after_s: float = 0.0) -> None:
        self.clock_s += after_s
        writer = self.parent if name in (Name.SUBMIT_INFO, Name.LAUNCH_TRAINING, Name.LAUNCH_END) else self.rank
        writer.emit(name, value, at=(round(self.clock_s * 1e3), self.clock_s))

    def begin(self, chip: str = A100) -> None:
        self.tell(Name.LAUNCH_TRAINING)
        self.tell(Name.ENVIRONMENT, {"devices": [{"index": 0, "name": chip}]})
        self.tell(Name.INIT_END, {"seconds": 7.0})
        self.tell(Name.TRAIN_START, {"step": 0, "samples": 0}, after_s=10)
        self.tell(Name.WARMUP_END, {"steady": True, "steps": 10, "seconds": 5.0, "reason": None})

    def segment(self, number: int, *, samples: int, seconds: float, core_s: float) -> None:
        begin_s = self.clock_s
        edges = {"segment": number, "begin_s": begin_s, "end_s": begin_s + seconds}
        counts = {"steps": 4, "own_s": 0.03, "samples": samples, "tokens": None, "core_s": core_s, "seconds": seconds}
        self.tell(Name.SEGMENT_END, {**edges, **counts}, after_s=seconds)

    def end(self, *, samples: int, training_s: float, evaluate_s: float, core_s: float | None, code: int = 0) -> Report:
        spans = {"training_s": training_s, "evaluate_s": evaluate_s, "core_s": core_s}
        self.tell(Name.TRAIN_END, {"steps": 9, "samples": samples, "tokens": None, **spans}, after_s=5)
        self.tell(Name.ACCOUNT, ACCOUNT)
        self.tell(Name.LAUNCH_END, {"exit_code": code, "class": "DivergedError" if code else None, "message": "x"})
        return build(self.path)


def value(report: Report, name: str) -> float | None:
    return report.figures[name].value


def kept(report: Report, rule: str) -> str:
    """The outcome of one rule of publication."""
    assert report.publication is not None
    (found,) = [one["outcome"] for one in report.publication.rules if one["rule"] == rule]
    return str(found)

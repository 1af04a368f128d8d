"""Run folders that verify, and what a forger changes in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra import compose

from hardware.meters.base import Reading
from hardware.sampling.trace_file import TraceWriter, row_of, write_meters
from runner.config.compose import to_case
from runner.config.fairness import division_of
from runner.config.schema import Case
from runner.core.events import EventWriter, Name
from runner.measure.step_records import StepsFile
from runner.record.report import content_hash
from runner.record.run_record import PARENT_LOG
from runner.results.build import build

STEPS, STEP_S, BATCH = 60, 0.6, 32

PROBED = {
    "parameters": ["float32"],
    "autocast": None,
    "matmul_mantissa_bits": 23,
    "convolution_mantissa_bits": 23,
    "convolution_reason": None,
    "gradient_scaler": False,
    "master_weights": ["float32"],
}


def compose_case(*overrides: str) -> Case:
    return to_case(compose("config", overrides=["model=resnet50", "vendor=cpu", "tracking=none", *overrides]))


class Maker:
    """A run folder as the engine leaves it: resnet50, 60 steps of 0.6 s, 100 W all the time."""

    def __init__(self, folder: Path, case: Case) -> None:
        self.folder, self.case = folder, case
        folder.mkdir(parents=True)
        case.save(folder / "run.yaml")
        self.parent = EventWriter(folder / "events" / PARENT_LOG, rank=-1)
        self.rank = EventWriter(folder / "events" / "rank0.log", rank=0)

    def tell(self, at_s: float, name: Name, value: dict[str, Any] | None = None) -> None:
        ours = name in (Name.SUBMIT_INFO, Name.LAUNCH_TRAINING, Name.LAUNCH_END)
        (self.parent if ours else self.rank).emit(name, value, at=(round(at_s * 1e3), at_s))

    def begin(self, changes: Any) -> None:
        self.tell(0.0, Name.SUBMIT_INFO, {"identity": self.case.identity, "division": changes})
        self.tell(0.0, Name.LAUNCH_TRAINING)

    def end(self) -> None:
        self.tell(60.0, Name.LAUNCH_END, {"exit_code": 0, "class": None, "message": ""})

    def measure(
        self,
        *,
        steps: int = STEPS,
        from_step: int = 0,
        power_from_s: float = 0.0,
        probed: dict[str, Any] | None = None,
        others: float | None = 0.02,
    ) -> None:
        packages = {"touchstone": version("touchstone")}
        self.tell(1.0, Name.ENVIRONMENT, {"packages": packages, "devices": [{"index": 0, "name": "Some CPU"}]})
        self.tell(2.0, Name.INIT_END, {"seconds": 1.0})
        self.tell(2.0, Name.PRECISION, PROBED if probed is None else probed)
        self.tell(3.0, Name.TRAIN_START, {"step": from_step, "samples": from_step})
        self.tell(5.0, Name.WARMUP_END, {"steady": True, "steps": 10, "seconds": 2.0, "reason": None})
        samples, seconds = steps * BATCH, steps * STEP_S
        counts = {"steps": steps, "own_s": 0.01, "samples": samples, "tokens": None, "core_s": seconds}
        edges = {"segment": 0, "begin_s": 5.0, "end_s": 5.0 + seconds, "seconds": seconds}
        self.tell(5.0 + seconds, Name.SEGMENT_END, edges | counts)
        totals = {"steps": steps + 10, "samples": samples, "tokens": None, "training_s": seconds + 2, "evaluate_s": 0.0}
        self.tell(6.0 + seconds, Name.TRAIN_END, totals | {"core_s": seconds})
        self.tell(6.0 + seconds, Name.ACCOUNT, {"reason": "not counted here"})
        StepsFile.create(self.folder / "steps.csv")
        with (self.folder / "steps.csv").open("a") as file:
            file.writelines(f"0,{step},window,{STEP_S},{STEP_S},{BATCH},,1.0,,\n" for step in range(10, 10 + steps))
        self._meter(power_from_s, others)

    def _meter(self, power_from_s: float, others: float | None) -> None:
        trace = TraceWriter(self.folder / "power.csv")
        reading = Reading(source="package-0", scope="package", power_w=100.0)
        moments = (power_from_s + tenth / 10 for tenth in range(int((50 - power_from_s) * 10)))
        trace.write(*(row_of(reading, monotonic_s=now_s, unix_s=now_s, meter="rapl") for now_s in moments))
        if others is not None:
            for source, utilisation in (("host", 0.5 + others), ("processes", 0.5)):
                one = Reading(source=source, scope="host", utilisation=utilisation)
                trace.write(*(row_of(one, monotonic_s=now_s, unix_s=now_s, meter="host") for now_s in range(2, 60)))
        trace.close()
        meters = {"rapl": {"opened": True, "reason": None, "period_s": 0.1}}
        write_meters(self.folder / "power.csv", {"meters": meters})

    def save(self) -> Path:
        report = build(self.folder, by_run=True)
        (self.folder / "environment.json").write_text(json.dumps(report.environment, indent=1) + "\n")
        report.save(self.folder / "report.json")
        return self.folder


def make(folder: Path, *overrides: str, changes: Any = None, **measured: Any) -> Path:
    case = compose_case(*overrides)
    maker = Maker(folder, case)
    found = division_of(case)
    maker.begin(changes or {"name": found.name, "changed": found.changed})
    maker.measure(**measured)
    maker.end()
    return maker.save()


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change report.json and make its hash fit again."""
    content = json.loads((folder / "report.json").read_text())
    change(content)
    content["hash"] = content_hash(content)
    (folder / "report.json").write_text(json.dumps(content))

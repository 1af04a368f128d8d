"""Numbers as a training leaves them: steps with warm-up, evaluations, a power trace with marks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hardware.sampling.trace_file import TraceRow, TraceWriter
from runner.core.events import EventWriter, Name
from runner.measure.step_records import StepRecord, StepsFile

WARMUP = 40


def write_steps(folder: Path, *, steps: int = 400, ranks: int = 2) -> None:
    """`ranks` times `steps` rows; a step takes 50 ms, twice that at the beginning; the second rank is 1 ms slower."""
    StepsFile.create(folder / "steps.csv")
    for phase, numbers in (("warmup", range(1, WARMUP + 1)), ("window", range(WARMUP + 1, steps + 1))):
        for rank in range(ranks):
            records = [
                StepRecord(
                    step=step,
                    seconds=0.05 * (1 + math.exp(-step / 8)) + 0.001 * rank + 0.002 * math.sin(step * 2.3),
                    core_seconds=0.045,
                    samples=32,
                    tokens=None,
                    loss=7 * math.exp(-step / 120) + 0.8 + 0.3 * math.sin(step * 1.7 + rank),
                    learning_rate=0.001,
                    offset_s=0.0,
                )
                for step in numbers
            ]
            StepsFile(folder / "steps.csv", rank=rank).append(phase, records)


def write_evaluations(folder: Path, metric: str, *, count: int = 9) -> None:
    """Training from monotonic second 100 on, an evaluation every three seconds."""
    events = EventWriter(folder / "events" / "rank0.log", rank=0)
    events.emit(Name.INIT_EVALUATION, {"step": 0, "samples": 0, "quality": {metric: 0.004}}, at=(99_000, 99.0))
    events.emit(Name.TRAIN_START, {"step": 0, "samples": 0}, at=(100_000, 100.0))
    for index in range(1, count + 1):
        value = {"step": 40 * index, "samples": 3200 * index, "quality": {metric: 0.26 * (1 - math.exp(-index / 4))}}
        events.emit(Name.EVALUATE, value, at=(100_000 + 3000 * index, 100.0 + 3 * index))
    events.close()


def write_power(folder: Path) -> None:
    """A device that tells watts, and a package that has only a counter, from second 90 to 130."""
    trace = TraceWriter(folder / "power.csv")

    def mark(name: str, time_s: float) -> None:
        trace.write(TraceRow(monotonic_s=time_s, unix_s=time_s, meter="sampler", mark=name))

    joules = 0.0
    moments = {92.0: "idle_begin", 96.0: "idle_end", 100.0: "train_begin", 103.0: "segment_begin:0"}
    moments |= {112.0: "segment_end:0", 112.5: "checkpoint", 114.0: "segment_begin:1", 124.0: "segment_end:1"}
    moments |= {124.5: "target", 125.0: "train_end"}
    for index in range(400):
        time_s = 90 + index / 10
        if time_s in moments:
            mark(moments[time_s], time_s)
        busy = 100 < time_s < 125 and not 112 < time_s < 114
        watts = 620 + 25 * math.sin(index) if busy else 75.0
        package = 140 + 5 * math.cos(index / 3) if busy else 60.0
        joules = (joules + package / 10) % 3000  # a counter that starts again
        common: dict[str, Any] = {"monotonic_s": time_s, "unix_s": time_s}
        trace.write(
            TraceRow(**common, meter="nvml", source="GPU-5f2c", scope="device", power_w=watts),
            TraceRow(**common, meter="rapl", source="package-0", scope="package", energy_j=joules),
        )
    trace.close()

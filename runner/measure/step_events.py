"""Steps as events: some of a segment's, each at the time it happened."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from runner.core.events import EventWriter, Name
from runner.measure.step_records import StepRecord
from runner.measure.totals import SegmentTotals

MOST = 50
"""Steps of a segment that become events; `steps.csv` holds all of them."""


def emit_steps(
    events: EventWriter,
    records: Sequence[StepRecord],
    share: SegmentTotals,
    *,
    phase: str,
    begin_s: float,
    samples_before: int,
    clock: Callable[[], float],
) -> None:
    """Emit at most about `MOST` of a segment's steps, its last one among them.

    Args:
        events: where to.
        records: the steps of this rank.
        share: what the segment added over all ranks; its samples are spread evenly over the steps that learnt.
        phase: `warmup` or `window`.
        begin_s: when the segment began, by `clock`.
        samples_before: samples of all ranks before the segment.
        clock: seconds, monotonic.
    """
    every = math.ceil(len(records) / MOST)
    clock_ms = time.time_ns() / 1e6 - clock() * 1e3
    learnt = sum(not record.skipped for record in records)
    per_step = share.samples / learnt if learnt else 0.0
    samples = float(samples_before)
    for index, record in enumerate(records):
        samples += 0.0 if record.skipped else per_step
        if (index + 1) % every and index + 1 != len(records):
            continue
        moment_s = begin_s + record.offset_s
        rate = per_step / record.seconds if record.seconds and not record.skipped else None
        place = {"phase": phase, "step": record.step, "samples": round(samples)}
        speed = {"seconds": record.seconds, "samples_per_second": rate}
        state = {"loss": record.loss, "learning_rate": record.learning_rate, "skipped": record.skipped}
        events.emit(Name.STEP_END, place | speed | state, at=(round(clock_ms + moment_s * 1e3), moment_s))

"""The figure that says how fast a case is."""

from __future__ import annotations

from collections.abc import Sequence

from runner.comparison.result import BATCH, known, value_of
from runner.record.report import Report
from runner.record.task import task_named

_PUBLISHED = ("throughput/core", "throughput/train", "throughput/whole", "infer/core_samples_per_second")
"""What others publish, where they publish nothing of a task's own main figures."""
TO_TARGET = "time/to_target_s"
_SPEEDS = ("throughput/", "infer/", "generation/", "step/", "operator/", TO_TARGET)
_PER_DEVICE = "_per_device"


def is_speed(name: str) -> bool:
    """Whether a figure says how fast something is."""
    return name.startswith(_SPEEDS)


def main_figure(reports: Sequence[Report], *, per_second: bool = False) -> str | None:
    """The first of the task's main figures that every one of these reports measured; None where there is none.

    Args:
        reports: results of one task.
        per_second: only what counts something per second.
    """
    task = task_named(reports[0].case.get("task"))
    names = [*(task.main_figures(reports[0].case) if task else ()), *_PUBLISHED, *reports[0].figures]
    return next((name for name in names if _fits(name, reports, per_second=per_second)), None)


def _fits(name: str, reports: Sequence[Report], *, per_second: bool) -> bool:
    if not is_speed(name) or name.endswith(_PER_DEVICE) or any(value_of(one, name) is None for one in reports):
        return False
    unit, meaning = reports[0].figures[name].unit, known(name, reports[0])
    rate = unit.endswith("/s") and not unit.startswith("FLOP")
    if not rate and (per_second or not (unit == "ms" or name == TO_TARGET)):
        return False
    same = len({tuple(one.case.get(key) for key in BATCH) for one in reports}) == 1
    return (
        meaning.better is not None
        and (same or not meaning.same_batch)
        and len({one.figures[name].unit for one in reports}) == 1
    )

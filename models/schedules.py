"""Learning rates over optimizer steps, as factors of the peak rate."""

from __future__ import annotations

import math

from models.training import Schedule


def rate_factor(schedule: Schedule, step: int, steps_per_epoch: float | None = None) -> float:
    """Learning rate at optimizer step `step` (0-based), divided by the peak rate.

    Args:
        schedule: what is published.
        step: optimizer steps done so far.
        steps_per_epoch: length of the schedule's unit, where that is the epoch.
    """
    length = _length(schedule, steps_per_epoch)
    warmup_steps = schedule.warmup * length
    if step < warmup_steps:
        begin = schedule.warmup_ratio
        return begin + (1 - begin) * min(1.0, (step + 1) / warmup_steps)
    match schedule.name:
        case "linear" | "cosine" | "polynomial":
            assert schedule.total is not None
            return _to_the_end(schedule, step - warmup_steps, schedule.total * length - warmup_steps)
        case "inverse_sqrt":
            return math.sqrt(min(1.0, warmup_steps / (step + 1)))
        case "multistep":
            passed = [
                gamma for at, gamma in zip(schedule.milestones, schedule.gammas, strict=True) if step >= at * length
            ]
            return passed[-1] if passed else 1.0
        case "step" | "exponential":
            assert schedule.every is not None and schedule.gamma is not None
            times = (step - warmup_steps * (schedule.name == "exponential")) / (schedule.every * length)
            return schedule.gamma ** (math.floor(times + 1e-9) if schedule.name == "step" else times)
        case _:
            return 1.0


def _to_the_end(schedule: Schedule, done: float, span: float) -> float:
    """From 1 to `final_ratio`, and that from there on."""
    progress = min(1.0, done / span) if span > 0 else 1.0
    if schedule.name == "cosine":
        shape = 0.5 * (1 + math.cos(math.pi * progress))
    else:
        shape = (1.0 - progress) ** (schedule.power if schedule.name == "polynomial" else 1.0)
    return schedule.final_ratio + (1 - schedule.final_ratio) * shape


def _length(schedule: Schedule, steps_per_epoch: float | None) -> float:
    """Optimizer steps of one unit of the schedule."""
    if schedule.unit == "steps":
        return 1.0
    assert steps_per_epoch is not None, "a schedule in epochs knows their length"
    return steps_per_epoch

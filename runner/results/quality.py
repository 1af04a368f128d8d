"""Quality against its target, and what it took to get there."""

from __future__ import annotations

from models.training import Quality
from runner.core.events import Event, Name
from runner.record.names import LAST
from runner.record.run_record import RunRecord
from runner.record.values import Missing, Values, known


def quality(run_record: RunRecord) -> Values:
    """`quality/*`, `time/to_target_s` and `convergence/{samples,steps}_to_target` of `task=converge`."""
    goal = run_record.case.model.training.quality
    evaluations = run_record.all(Name.EVALUATE)
    figures: Values = {"quality/target": goal.targets[goal.metric]}
    best = _best(goal, evaluations)
    for metric in goal.targets:
        none = Missing("no evaluation was completed" if not evaluations else f"no evaluation told {metric}")
        figures[f"quality/{metric}"] = none if best is None else known(best.value["quality"].get(metric), none.reason)
        last = evaluations[-1].value["quality"].get(metric) if evaluations else None
        figures[f"quality/{metric}{LAST}"] = (
            known(last, f"the last evaluation told no {metric}") if evaluations else none
        )
    reached = next((event for event in evaluations if event.value["reached"]), None)
    figures["quality/reached"] = float(reached is not None)
    return figures | _to_target(reached)


def _best(goal: Quality, evaluations: list[Event]) -> Event | None:
    """One evaluation for all metrics: the best in the main one, of those that reached every target where there are any.

    Each metric's best from another evaluation would be a model that there never was.
    """
    told = [event for event in evaluations if event.value["quality"].get(goal.metric) is not None]
    reached = [event for event in told if event.value["reached"]]
    sign = 1 if goal.mode == "max" else -1
    return max(reached or told, key=lambda event: sign * event.value["quality"][goal.metric], default=None)


def _to_target(reached: Event | None) -> Values:
    names = {
        "time/to_target_s": "training_s",
        "convergence/samples_to_target": "samples",
        "convergence/steps_to_target": "step",
    }
    if reached is None:
        return dict.fromkeys(names, Missing("the target was not reached"))
    return {name: float(reached.value[key]) for name, key in names.items()}

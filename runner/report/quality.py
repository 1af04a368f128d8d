"""Quality against its target, and what it took to get there."""

from __future__ import annotations

from runner.events import Event, Name
from runner.report.names import LAST
from runner.report.story import Story
from runner.report.values import Missing, Values


def quality(story: Story) -> Values:
    """`quality/*`, `time/to_target_s` and `convergence/{samples,steps}_to_target` of `task=converge`."""
    goal = story.case.model.quality
    evaluations = story.all(Name.EVALUATE)
    figures: Values = {"quality/target": goal.targets[goal.metric]}
    for metric in goal.targets:
        seen = [value for event in evaluations if (value := event.value["quality"].get(metric)) is not None]
        if not seen:
            none = Missing("no evaluation was completed")
            figures |= {f"quality/{metric}": none, f"quality/{metric}{LAST}": none}
            continue
        figures[f"quality/{metric}"] = max(seen) if goal.mode == "max" else min(seen)
        figures[f"quality/{metric}{LAST}"] = seen[-1]
    reached = next((event for event in evaluations if event.value["reached"]), None)
    figures["quality/reached"] = float(reached is not None)
    return figures | _to_target(reached)


def _to_target(reached: Event | None) -> Values:
    names = {
        "time/to_target_s": "training_s",
        "convergence/samples_to_target": "samples",
        "convergence/steps_to_target": "step",
    }
    if reached is None:
        return dict.fromkeys(names, Missing("the target was not reached"))
    return {name: float(reached.value[key]) for name, key in names.items()}

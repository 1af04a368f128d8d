"""`task=converge`: how soon it is good enough. Train, evaluate, stop at the target or at the end of the budget."""

from __future__ import annotations

import math

from runner.core.errors import TargetNotReachedError
from runner.core.events import Name, read_events
from runner.frameworks.base import EvaluationPlan
from runner.frameworks.implementations import build_trainable, framework_of
from runner.frameworks.loaders import build_evaluation_loader, build_training_loader
from runner.measure.context import Context


def run(context: Context) -> None:
    """Train to the target, from the last checkpoint when there is one.

    Raises:
        TargetNotReachedError: the budget is used up.
    """
    case = context.case
    trainable = build_trainable(context)
    context.preparing("reading the data")
    datasets = trainable.datasets(case.data)
    done_steps = steps_done(context)
    training = build_training_loader(context, trainable, datasets, done_steps=done_steps)
    evaluation = build_evaluation_loader(context, trainable, datasets)

    every_steps = max(1, round(case.model.training.quality.every_samples / context.global_batch))
    evaluations = math.ceil(case.model.training.max_train_samples / (every_steps * context.global_batch))
    plan = EvaluationPlan(every_steps=every_steps, max_steps=evaluations * every_steps, done_steps=done_steps)
    if done_steps:
        context.events.emit(Name.RESUMED, {"step": done_steps})
    else:
        context.preparing("evaluating before the first step")
    outcome = framework_of(context).converge(
        trainable,
        training,
        evaluation,
        plan=plan,
        next_segment=lambda step_s, *_: max(1, math.ceil(case.task.segment_s / step_s)),
    )
    if not outcome.reached:
        quality = case.model.training.quality
        best = "no number" if outcome.best is None else f"{outcome.best:.4g}"
        raise TargetNotReachedError(
            f"The best {quality.metric} was {best} after {outcome.steps} steps; the target "
            f"is {quality.targets[quality.metric]:g}. The budget is used up "
            f"(model.train.max_train_samples={case.model.training.max_train_samples})."
        )


def steps_done(context: Context) -> int:
    """Optimizer steps in the last checkpoint of an earlier part; 0 without one."""
    if not context.checkpoint.exists():
        return 0
    events, _ = read_events(context.folder / "events" / "rank0.log")
    steps = [event.value["step"] for event in events if event.name == Name.CHECKPOINT]
    return int(steps[-1]) if steps else 0

"""`task=converge`: how soon it is good enough. Train, evaluate, stop at the target or at the end of the budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from models.ranges import Seconds
from runner.config.schema import STRICT, Case, TaskOptions
from runner.core.errors import ConfigurationError, TargetNotReachedError
from runner.core.events import Name, read_events
from runner.measure.context import Context
from runner.record.run_record import RunRecord
from runner.record.stages import Stage, Stages
from runner.record.values import Values
from runner.tasks.training import TrainingTask


@dataclass(kw_only=True, slots=True, config=STRICT)
class ConvergeOptions(TaskOptions):
    """`conf/task/converge.yaml`."""

    segment_s: Seconds = 10.0
    """Seconds between two stops of the clock to read losses back."""


class Converge(TrainingTask):
    """Training to the model's quality target, evaluations included in the time it takes."""

    name = "converge"
    options = ConvergeOptions
    quality_target = True
    figures: ClassVar[tuple[str, ...]] = (*TrainingTask.figures, "quality/*", "time/*", "convergence/*")
    headline: ClassVar[tuple[str, ...]] = (
        *("quality/*", "!quality/target", "!quality/reached", "time/to_target_s", "convergence/samples_to_target"),
        *("convergence/energy_j_to_target", "throughput/whole", *TrainingTask.headline),
    )
    stages = Stages(working=Stage.TRAINING, follows="budget")

    def main_figures(self, case: Mapping[str, Any]) -> tuple[str, ...]:
        """Speed, time to the target, and the quality that was reached."""
        qualities = [f"quality/{metric}" for metric in case.get("quality_targets") or {}]
        return "throughput/steady", "time/to_target_s", *qualities, *super().main_figures(case)[1:]

    def check(self, case: Case) -> None:
        """Random data cannot be learned."""
        if case.data.name == "synthetic":
            raise ConfigurationError(
                "task=converge needs data that can be learned, and data=synthetic is random. "
                "Choose data=sample or data=dataset."
            )

    def values(self, run_record: RunRecord) -> tuple[Values, list[str]]:
        """Those of training, quality, and what it took to get there."""
        from runner.results.power import energy_to_target_of_all
        from runner.results.quality import quality

        values, notes = super().values(run_record)
        return values | quality(run_record) | energy_to_target_of_all(run_record), notes

    def run(self, context: Context) -> None:
        """Train to the target, from the last checkpoint when there is one.

        Raises:
            TargetNotReachedError: the budget is used up.
        """
        from runner.frameworks.base import EvaluationPlan
        from runner.frameworks.implementations import build_trainable, framework_of
        from runner.frameworks.loaders import build_evaluation_loader, build_training_loader, tell_skipped

        case, options = context.case, context.case.task
        assert isinstance(options, ConvergeOptions)
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
            next_segment=lambda step_s, *_: max(1, math.ceil(options.segment_s / step_s)),
        )
        tell_skipped(context)
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
    events, _ = read_events(context.shared / "events" / "rank0.log")
    steps = [event.value["step"] for event in events if event.name == Name.CHECKPOINT]
    return int(steps[-1]) if steps else 0

"""`task=converge`: how soon it is good enough. Train, evaluate, stop at the target or at the end of the budget."""

from __future__ import annotations

import math

from runner.core.errors import TargetNotReachedError
from runner.core.events import Name, read_events
from runner.frameworks.implementations import build_trainable
from runner.frameworks.lightning.convergence import Convergence
from runner.frameworks.lightning.module import TrainableModule
from runner.frameworks.lightning.throughput import Throughput
from runner.frameworks.lightning.trainer import build_trainer
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

    throughput = Throughput(context, lambda step_s, *_: max(1, math.ceil(case.task.segment_s / step_s)))
    convergence = Convergence(context, throughput)
    every_steps = max(1, round(case.model.training.quality.every_samples / context.global_batch))
    evaluations = math.ceil(case.model.training.max_train_samples / (every_steps * context.global_batch))
    trainer = build_trainer(
        context,
        [convergence, throughput],
        max_steps=evaluations * every_steps,
        val_check_interval=every_steps * case.model.training.gradient_accumulation_steps,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0 if done_steps else -1,
    )
    if done_steps:
        context.events.emit(Name.RESUMED, {"step": done_steps})
    else:
        context.preparing("evaluating before the first step")
    checkpoint = context.checkpoint if done_steps else None
    trainer.fit(TrainableModule(trainable), training, evaluation, ckpt_path=checkpoint)
    if not convergence.reached:
        quality = case.model.training.quality
        best = "no number" if convergence.best is None else f"{convergence.best:.4g}"
        raise TargetNotReachedError(
            f"The best {quality.metric} was {best} after {throughput.totals.steps} steps; the target "
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

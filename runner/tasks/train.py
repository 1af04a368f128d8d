"""`task=train`: how fast. Warm up until steady, measure one uninterrupted window, stop."""

from __future__ import annotations

from runner.core.events import Name
from runner.measure.context import Context
from runner.tasks.training import TrainingTask


class Train(TrainingTask):
    """Throughput of training."""

    name = "train"
    measured_window = True
    headline = (*TrainingTask.headline, "throughput/tokens_per_second", "compute/mfu", "step/p50_ms")
    # The host's own processor would feel it in the window, which has no further one after it.
    tracking_begins = Name.TRAIN_END

    def run(self, context: Context) -> None:
        """Train until the window is complete."""
        from runner.frameworks.implementations import build_trainable, framework_of
        from runner.frameworks.loaders import build_training_loader, tell_skipped
        from runner.measure.window import steps_for

        case = context.case
        trainable = build_trainable(context)
        context.preparing("reading the data")
        datasets = None if case.data.name == "synthetic" else trainable.datasets(case.data)
        loader = build_training_loader(context, trainable, datasets)

        def next_segment(step_s: float, done_steps: int, done_s: float) -> int:
            return steps_for(case.measure.window, step_s, done_steps=done_steps, done_s=done_s)

        framework_of(context).train(trainable, loader, next_segment=next_segment)
        tell_skipped(context)

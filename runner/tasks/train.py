"""`task=train`: how fast. Warm up until steady, measure one uninterrupted window, stop."""

from __future__ import annotations

from runner.frameworks.lightning.throughput import Throughput
from runner.frameworks.lightning.trainer import build_trainer, build_training_loader, build_workload
from runner.measure.context import Context
from runner.measure.window import steps_for


def run(context: Context) -> None:
    """Train until the window is complete."""
    case = context.case
    workload = build_workload(context)
    context.preparing("reading the data")
    datasets = None if case.data.name == "synthetic" else workload.datasets(case.data)
    loader = build_training_loader(context, workload, datasets)

    def next_segment(step_s: float, done_steps: int, done_s: float) -> int:
        return steps_for(case.measure.window, step_s, done_steps=done_steps, done_s=done_s)

    trainer = build_trainer(context, [Throughput(context, next_segment)], max_steps=-1, limit_val_batches=0)
    trainer.fit(workload, train_dataloaders=loader)

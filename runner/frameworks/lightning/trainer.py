"""Lightning's Trainer with everything off that would disturb a measurement."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from runner.frameworks.lightning.loop import TrainingLoop
from runner.frameworks.lightning.reports.energy import TrainingMarks
from runner.frameworks.lightning.reports.event_logger import EventLogger
from runner.frameworks.lightning.reports.memory import MemoryPeaksReport
from runner.frameworks.lightning.reports.precision import PrecisionCheck
from runner.frameworks.lightning.sharding import layout_of
from runner.measure.context import Context


def build_trainer(context: Context, callbacks: list[pl.Callback], **options: Any) -> pl.Trainer:
    """Lightning's Trainer with everything off that would disturb a measurement."""
    case, device = context.case, context.device
    layout = layout_of(case.topology)
    context.preparing("starting the trainer")
    trainer = pl.Trainer(
        accelerator=device.accelerator(),
        devices=case.topology.devices,
        num_nodes=case.topology.nodes,
        # Devices of packages that know no other layout than copies are asked for those as they always were.
        strategy=device.strategy(context.world, layout) if layout.sharded else device.strategy(context.world),
        # Who started a lone rank is said, as strategies of several say it; or Lightning asks every launcher that it
        # knows, and to ask MPI ends the process where MPI is installed and cannot start.
        plugins=[device.precision_plugin(case.precision), *([LightningEnvironment()] if context.world == 1 else [])],
        # The check's matrices are not the case's memory: peaks are reset after it.
        callbacks=[TrainingMarks(context), PrecisionCheck(context), MemoryPeaksReport(context), *callbacks],
        logger=EventLogger(context.events) if context.rank == 0 else False,
        accumulate_grad_batches=case.model.training.gradient_accumulation_steps,
        gradient_clip_val=case.model.training.max_grad_norm,
        max_epochs=-1,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=context.folder,
        **options,
    )
    trainer.fit_loop.epoch_loop = TrainingLoop(trainer)
    return trainer

"""Builds what a training task needs: the workload, its loaders, Lightning's Trainer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.profilers import Profiler

from models.base import Workload
from models.datasets.base import Batch, Datasets, EndlessSampler, evaluation_loader, training_loader
from models.recipe import Recipe
from runner.config.schema import Compiler
from runner.core.errors import ConfigurationError
from runner.frameworks.lightning.energy import Energy
from runner.frameworks.lightning.event_logger import EventLogger
from runner.frameworks.lightning.loop import TrainingLoop
from runner.frameworks.lightning.memory import Memory
from runner.frameworks.lightning.precision import PrecisionCheck
from runner.measure.context import Context


class SyntheticLoader:
    """The same batch for ever, already on the device: what is left is the device's own speed."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self._batch


class Unprofiled(Profiler):
    """Nothing, at the least cost: Lightning enters its profiler about fifty times in every step."""

    _nothing = nullcontext()

    def start(self, action_name: str) -> None:
        """Nothing."""

    def stop(self, action_name: str) -> None:
        """Nothing."""

    def profile(self, action_name: str) -> nullcontext[None]:  # type: ignore[override]
        """The same empty context every time."""
        return self._nothing


def workload_class(recipe: Recipe, framework: str) -> type[Workload]:
    """The class that a model's YAML names for a framework.

    Raises:
        ConfigurationError: no such class, or not a workload.
    """
    path = recipe.workloads[framework]
    module_name, _, class_name = path.rpartition(".")
    try:
        found = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        if isinstance(error, ModuleNotFoundError) and not module_name.startswith(str(error.name)):
            raise
        raise ConfigurationError(f"model.workloads.{framework}={path} cannot be loaded: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, Workload)):
        raise ConfigurationError(f"model.workloads.{framework}={path} is not a subclass of models.base.Workload.")
    return found


def build_workload(context: Context) -> Workload:
    """The case's workload with random weights; the same weights on every rank."""
    case = context.case
    context.preparing("building the model")
    context.device.seed(case.seed)
    try:
        workload = workload_class(case.model, case.framework.name)(case.model)
    except ValueError as error:
        raise ConfigurationError(f"model={case.model.name} cannot be built: {error}") from error
    compile_network(workload, case.compiler)
    return workload


def compile_network(workload: Workload, compiler: Compiler) -> None:
    """Hand the network to the compiler; the first steps, inside warm-up, pay for it."""
    if compiler.name == "inductor":
        mode = None if compiler.mode == "default" else compiler.mode
        workload.network.compile(mode=mode, dynamic=compiler.dynamic)


def build_training_loader(
    context: Context, workload: Workload, datasets: Datasets | None, *, done_steps: int = 0
) -> Iterable[Batch]:
    """Endless batches of this rank's share, from where an earlier part stopped; `datasets` null means synthetic."""
    case = context.case
    if datasets is None:
        with context.device.torch_device(context.local_rank):
            return SyntheticLoader(workload.synthetic_batch(case.model.batch_size))
    sampler = EndlessSampler(
        length=len(datasets.train),  # type: ignore[arg-type]
        batch_size=case.model.batch_size,
        rank=context.rank,
        world=context.world,
        seed=case.seed,
        start_batch=done_steps * case.model.accumulate,
    )
    pin = context.device.pins_memory()
    return training_loader(datasets.train, sampler, workload.collate, workers=case.data.workers, pin=pin)


def build_evaluation_loader(context: Context, workload: Workload, datasets: Datasets) -> Iterable[Batch]:
    """This rank's share of the evaluation examples."""
    return evaluation_loader(
        datasets.evaluation,
        workload.collate,
        batch_size=context.case.model.batch_size,
        limit=context.case.model.quality.samples,
        rank=context.rank,
        world=context.world,
        workers=context.case.data.workers,
    )


def build_trainer(context: Context, callbacks: list[pl.Callback], **options: Any) -> pl.Trainer:
    """Lightning's Trainer with everything off that would disturb a measurement."""
    case, device = context.case, context.device
    context.preparing("starting the trainer")
    trainer = pl.Trainer(
        accelerator=device.accelerator(),
        devices=context.world,
        strategy=device.strategy(context.world),
        plugins=[device.precision_plugin(case.precision)],
        # The check's matrices are not the case's memory: peaks are reset after it.
        callbacks=[Energy(context), PrecisionCheck(context), Memory(context), *callbacks],
        profiler=Unprofiled(),
        logger=EventLogger(context.events) if context.rank == 0 else False,
        accumulate_grad_batches=case.model.accumulate,
        gradient_clip_val=case.model.clip_norm,
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

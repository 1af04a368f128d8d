"""Makes DeepSpeed's engine of a case: the recipe's own model, optimizer and schedule, in its settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from models.datasets.base import Batch
from models.trainable import Trainable
from runner.core.events import Name
from runner.frameworks.zero.accelerators import VARIABLE, accelerator_name
from runner.frameworks.zero.demands import WEIGHTS
from runner.frameworks.zero.recompute import recompute_blocks
from runner.frameworks.zero.settings import engine_settings
from runner.measure.context import Context
from runner.measure.ranks import Ranks
from runner.measure.session import Session

SHARED_MEMORY_OP = "deepspeed_shm_comm"
"""DeepSpeed's own collectives for ranks on one host, which it would compile into the home folder."""


class Passes(nn.Module):
    """A `Trainable` whose every use of the network is a forward pass, as the engine wants it."""

    def __init__(self, trainable: Trainable, forward_context: Callable[[], AbstractContextManager[Any]]) -> None:
        super().__init__()
        self.trainable = trainable
        self._forward_context = forward_context
        self.marks: Session | None = None
        """Is told where forward passes of training begin and end; None of a single rank."""

    def forward(self, batch: Batch, *, evaluate: bool = False) -> Tensor | None:
        """The loss of a batch, or the metrics' update from it."""
        with self._forward_context():
            if evaluate:
                self.trainable.evaluate(batch)
                return None
            if self.marks is None:
                return self.trainable.loss(batch)
            self.marks.begin_forward()
            loss = self.trainable.loss(batch)
            self.marks.end_forward()
            return loss


@dataclass(kw_only=True, slots=True)
class BuiltEngine:
    """An engine and what it does not tell of itself."""

    engine: Any
    passes: Passes
    scheduler: LRScheduler
    plugin: Any
    """The vendor's precision plugin: its autocast, and its gradient scaler."""

    @property
    def masters(self) -> Any:
        """An optimizer as far as its weights go: those that are updated, on this rank."""
        pieces = getattr(self.engine.optimizer, "fp32_partitioned_groups_flat", None)
        if pieces is None:
            return self.engine.basic_optimizer
        return SimpleNamespace(param_groups=[{"params": list(pieces)}])  # stage 3 hands them over in the step alone


def build_engine(context: Context, trainable: Trainable, join: Callable[[Context], Ranks]) -> tuple[BuiltEngine, Ranks]:
    """The engine of a case, and its ranks; imports DeepSpeed."""
    os.environ[VARIABLE] = accelerator_name(context.device)
    import deepspeed

    device, case = context.device.torch_device(context.local_rank), context.case
    deepspeed.ops.__compatible_ops__[SHARED_MEMORY_OP] = False
    if device.type != "cpu":
        deepspeed.accelerator.get_accelerator().set_device(context.local_rank)
    ranks = join(context)
    options: Any = case.framework
    if options.activation_checkpointing:
        recompute_blocks(trainable.network, case.model.name)
    plugin = context.device.precision_plugin(case.precision)
    passes = Passes(trainable, plugin.forward_context)
    optimizer, scheduler = trainable.configure_optimizer(batches=context.batches)
    parameters = sum(parameter.numel() for parameter in passes.parameters())
    settings = engine_settings(case, parameters=parameters, pins_memory=context.device.pins_memory())
    if options.zero_stage == WEIGHTS:
        # Spread the weights one by one, before the engine would put the whole model onto the device.
        deepspeed.zero.Init(module=passes, config_dict_or_path=settings, dtype=torch.float32)
    engine, *_ = deepspeed.initialize(model=passes, optimizer=optimizer, config=settings, dist_init_required=False)
    if options.offload == "cpu" and context.rank == 0:
        kind = type(optimizer).__name__
        message = (
            f"framework.offload=cpu: the recipe's own {kind} (PyTorch's) updates the weights on the host, and not "
            "DeepSpeedCPUAdam, which would be another implementation."
        )
        context.events.emit(Name.WARNING, {"message": message})
    return BuiltEngine(engine=engine, passes=passes, scheduler=scheduler, plugin=plugin), ranks

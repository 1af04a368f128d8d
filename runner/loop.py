"""Lightning's training loop without what a measured window must not contain.

Lightning itself places a `_TrainingEpochLoop` into its Trainer this way; a test holds the names used here to the
installed version.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loops.optimization.automatic import _AutomaticOptimization
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from torch import Tensor
from torch.optim import Optimizer


class Optimization(_AutomaticOptimization):
    """Frees the gradients right after the step, as a plain loop does, not after the next forward pass.

    Kept through the forward pass, they cost memory at its peak; on a CPU the allocator then gives pages back and faults
    them in again in every step, which takes a few percent.
    """

    def _make_zero_grad_fn(self, batch_idx: int, optimizer: Optimizer) -> None:
        """Nothing to do before the backward pass."""

    def _optimizer_step(self, batch_idx: int, train_step_and_backward_closure: Callable[[], Tensor | None]) -> None:
        super()._optimizer_step(batch_idx, train_step_and_backward_closure)
        if not self.trainer.fit_loop._should_accumulate():
            optimizer = self.trainer.optimizers[0]
            self._on_before_zero_grad(optimizer)
            self._optimizer_zero_grad(batch_idx, optimizer)


class TrainingLoop(_TrainingEpochLoop):
    """The steps of training, for a `Workload`."""

    def __init__(self, trainer: pl.Trainer) -> None:
        super().__init__(trainer, min_steps=trainer.min_steps, max_steps=trainer.max_steps)
        self.automatic_optimization = Optimization(trainer)

    def _broadcast_sigterm_tensor(self) -> None:
        """Nothing: with several ranks Lightning would broadcast a flag and wait for the device in every step.

        The parent process ends all ranks itself.
        """

    def _build_kwargs(self, kwargs: OrderedDict[str, Any], batch: Any, batch_idx: int) -> OrderedDict[str, Any]:
        """The arguments of `Workload.training_step`, without looking at its signature in every step."""
        kwargs["batch"], kwargs["batch_idx"] = batch, batch_idx
        return kwargs

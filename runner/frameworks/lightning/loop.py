"""One measured pass, in Lightning's training loop: what it takes to train, and nothing else.

Lightning's own loop also serves what no `Trainable` has, such as logging, profiling and manual optimization. With
several ranks it waits for the device in every pass, to pass on a SIGTERM that the parent process sends to all of them
anyhow. Lightning itself places a `_TrainingEpochLoop` into its Trainer this way; a test holds the names used here to
the installed version.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.optimization.automatic import _AutomaticOptimization
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.loops.utilities import _block_parallel_sync_behavior
from torch import Tensor
from torch.optim import Optimizer

from hardware.precision.loss_scale import loss_scale, step_was_skipped


class Optimization(_AutomaticOptimization):
    """Forward, backward and the optimizer's step; how they are done is the strategy's and its precision's affair."""

    def run(self, optimizer: Optimizer, batch_idx: int, kwargs: OrderedDict[str, Any]) -> dict[str, Any]:
        """One pass, and after the last pass of a step the optimizer's.

        Gradients are freed right after the step, as a plain loop does, not after the next forward pass: kept through
        it, they cost memory at its peak; on a CPU the allocator then gives pages back and faults them in again in every
        step, which takes a few percent.

        Returns:
            `loss`: the pass's share of the step's loss, without its graph. After the last pass of a step with a
            gradient scaler, `skipped` as well: on the device, whether the scaler left the weights alone.
        """
        strategy, accumulate = self.trainer.strategy, self.trainer.accumulate_grad_batches
        losses: list[Tensor] = []
        skipped: dict[str, Any] = {}

        def closure() -> Tensor:
            loss = strategy.training_step(*kwargs.values())
            assert isinstance(loss, Tensor), "training_step returns the loss, a tensor"
            share = loss / accumulate
            losses.append(share.detach())
            strategy.backward(share, optimizer)
            return losses[-1]

        if self.trainer.fit_loop._should_accumulate():
            with _block_parallel_sync_behavior(strategy):
                closure()
        else:
            progress = self.optim_progress.optimizer.step
            progress.increment_ready()
            before = loss_scale(strategy.precision_plugin)
            strategy.optimizer_step(optimizer, closure)
            if before is not None and (after := loss_scale(strategy.precision_plugin)) is not None:
                skipped["skipped"] = step_was_skipped(before, after)
            progress.increment_completed()
            optimizer.zero_grad()
        return {"loss": losses[-1], **skipped}


class TrainingLoop(_TrainingEpochLoop):
    """The passes of training, for a `Trainable`."""

    def __init__(self, trainer: pl.Trainer) -> None:
        super().__init__(trainer, min_steps=trainer.min_steps, max_steps=trainer.max_steps)
        self.automatic_optimization = Optimization(trainer)

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Fetch a batch, place it on the device, and train on it; callbacks see both ends."""
        if self.restarting:  # a checkpoint was just loaded: its first pass may be the end of an evaluation
            super().advance(data_fetcher)
            return
        trainer, progress = self.trainer, self.batch_progress
        batch, _, _ = next(data_fetcher)
        batch_idx = self.batch_idx + 1
        progress.is_last_batch = data_fetcher.done
        batch = trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(batch))
        progress.increment_ready()
        for callback in trainer.callbacks:
            callback.on_train_batch_start(trainer, trainer.lightning_module, batch, batch_idx)
        progress.increment_started()
        arguments = OrderedDict(batch=batch, batch_idx=batch_idx)
        outputs = self.automatic_optimization.run(trainer.optimizers[0], batch_idx, arguments)
        progress.increment_processed()
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        for callback in trainer.callbacks:
            callback.on_train_batch_end(trainer, trainer.lightning_module, outputs, batch, batch_idx)
        progress.increment_completed()

"""The passes and steps of DeepSpeed's engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor, distributed

from hardware.precision.loss_scale import loss_scale, step_was_skipped
from models.datasets.base import Batch, Counts
from models.trainable import Trainable
from runner.frameworks.averaging import WeightAverage
from runner.frameworks.precision import verify_precision
from runner.frameworks.stepping.stepper import Stepper
from runner.frameworks.zero import checkpoints
from runner.frameworks.zero.demands import WEIGHTS
from runner.frameworks.zero.engine import build_engine
from runner.frameworks.zero.evaluation import as_many, not_counted
from runner.frameworks.zero.loss_scale import SharedScale
from runner.frameworks.zero.process_group import join
from runner.measure.context import Context
from runner.measure.session import Session


class EngineStepper(Stepper):
    """Drives `deepspeed.initialize`'s engine; gradients are averaged, clipped and applied by it."""

    def __init__(self, context: Context, trainable: Trainable) -> None:
        trainable.require_metrics()
        options: Any = context.case.framework
        self._context, self._trainable, self._stage = context, trainable, int(options.zero_stage)
        self._device = context.device.torch_device(context.local_rank)
        self._built, self.ranks = build_engine(context, trainable, join)
        self._engine = self._built.engine
        decay = trainable.recipe.training.regularisation.ema_decay
        self._average = None if decay is None else WeightAverage(trainable.network, decay)
        self._skipped: Tensor | bool | None = None
        scaler = getattr(self._built.plugin, "scaler", None)
        self._scale: SharedScale | None = None
        if scaler is not None and self._stage > 0:
            self._scale = SharedScale(self._engine.optimizer, scaler)
        elif scaler is not None:
            self._engine.torch_autocast_z0_gradscaler = scaler  # without ZeRO every rank has all gradients
        self._passes = 0

    def tell_forward(self, session: Session) -> None:
        """Have the engine's module tell it: what the ranks send each other before and after is not the model's."""
        self._built.passes.marks = session

    def verify_precision(self) -> None:
        """Probe the engine's weights, the autocast of its passes, and the weights that its optimizer updates."""
        built = self._built
        verify_precision(
            self._context,
            built.passes,
            self._device,
            built.plugin.forward_context,
            plugin=built.plugin,
            optimizers=[built.masters],
        )

    def begin_training(self) -> None:
        """Begin without anything carried over."""
        self._engine.train()
        self._trainable.reset_state()

    # --- inside a segment -------------------------------------------------------------------------------------

    def placed(self, batch: Batch) -> Batch:
        """The batch on the device, as Lightning moves it."""
        moved: Batch = move_data_to_device(batch, self._device)
        return moved

    def count(self, batch: Batch) -> Counts:
        """Samples and tokens in a batch."""
        return self._trainable.count(batch)

    def learning_rate(self) -> float:
        """That of the first group."""
        return float(self._built.scheduler.get_last_lr()[0])

    def take_pass(self, batch: Batch) -> Tensor:
        """Forward and backward; the engine counts passes and takes the optimizer's step after the last of them."""
        engine = self._engine
        steps = engine.is_gradient_accumulation_boundary()
        share: Tensor = engine.backward(engine(batch))
        before = self._device_scale() if steps else None
        engine.step()
        if steps:
            self._after_step(before)
        return share

    @property
    def skipped(self) -> Tensor | bool | None:
        """What the last step was."""
        return self._skipped

    def _device_scale(self) -> Tensor | float | None:
        """The scale of the vendor's scaler, where that takes the steps."""
        return None if self._stage > 0 else loss_scale(self._built.plugin)

    def _after_step(self, before: Tensor | float | None) -> None:
        after = self._device_scale()
        if before is not None and after is not None:
            self._skipped = step_was_skipped(before, after)
        elif self._stage > 0:
            self._skipped = not self._engine.was_step_applied()
        if self._scale is not None:
            self._scale.update(skipped=bool(self._skipped))
        self._built.scheduler.step()
        if self._average is not None:
            self._average.update(self._trainable.network)

    # --- evaluation -------------------------------------------------------------------------------------------

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Every metric over all ranks, on averaged weights where there are any."""
        trainable, network = self._trainable, self._trainable.network
        trainable.reset_state()
        trainable.reset_metrics(self._device)
        self._share_buffers()
        if self._average is not None:
            self._average.swap(network)
        self._engine.eval()
        with torch.no_grad():
            for batch in self._evaluated(batches):
                self._engine(self.placed(batch), evaluate=True)
        self._engine.train()
        if self._average is not None:
            self._average.swap(network)
        trainable.reset_state()
        # In float64, as targets are: in float32 a share that equals its target can fall short of it.
        computed = {name: torch.as_tensor(metric.compute()) for name, metric in trainable.metrics.items()}
        return {name: float(value.cpu().double()) for name, value in computed.items()}

    def _evaluated(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """This rank's batches; where the ranks meet in every pass, each takes as many as the one with most."""
        if self._stage < WEIGHTS or self._context.world == 1:
            yield from batches
            return
        for batch, counts in as_many(batches, self.ranks, self._trainable.synthetic_batch(1)):
            if counts:
                yield batch
                continue
            with not_counted(self._trainable):
                yield batch

    def _share_buffers(self) -> None:
        """Give every rank the first one's running statistics, as data parallel training does in every pass."""
        if self._context.world > 1:
            for buffer in self._trainable.network.buffers():
                distributed.broadcast(buffer, 0)

    # --- checkpoints ------------------------------------------------------------------------------------------

    def save(self, path: Path, state: dict[str, Any]) -> None:
        """The engine's own folder, and the file beside it."""
        scaler = self._scaler()
        own = {
            "state": state,
            "scheduler": self._built.scheduler.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
        }
        checkpoints.save(self._engine, path, self._weights(), own, self.ranks)

    def load(self, path: Path) -> dict[str, Any]:
        """Go on from the engine's own folder."""
        own = checkpoints.load(self._engine, path)
        self._built.scheduler.load_state_dict(own["scheduler"])
        scaler = self._scaler()
        if scaler is not None:
            scaler.load_state_dict(own["scaler"])
        if self._average is not None:
            self._average.load_state_dict(own["average"])
        state: dict[str, Any] = own["state"]
        return state

    def save_weights(self, path: Path) -> None:
        """The whole weights, collected on the first rank."""
        weights = self._weights()
        if self.ranks.rank == 0:
            checkpoints.write_weights(path, weights)
        self.ranks.barrier()

    def _weights(self) -> dict[str, Tensor]:
        return checkpoints.whole_weights(self._built.passes, self._average, keep=self.ranks.rank == 0)

    def _scaler(self) -> Any:
        return self._scale if self._scale is not None else getattr(self._built.plugin, "scaler", None)

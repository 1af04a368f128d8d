"""A `Trainable` whose tensors are spread over ranks, as Lightning trains it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed

from hardware.layout import MeshLayout
from hardware.stacks.sharded import greatest_over_ranks, spread_modules
from models.datasets.base import Batch
from models.sharding.spread import spread_model
from models.sharding.tensor import split_network
from models.trainable import Trainable
from runner.core.errors import ConfigurationError
from runner.frameworks.lightning.even_batches import REPEATED, without_counting
from runner.frameworks.lightning.module import TrainableModule

REFUSED = (ValueError, NotImplementedError, AssertionError)
"""What torch says no with."""


class ShardedModule(TrainableModule):
    """Spreads the model once the mesh is there, and does what data parallel training leaves to its wrapper."""

    def __init__(
        self, trainable: Trainable, *, batches: int, layout: MeshLayout, products: torch.dtype | None = None
    ) -> None:
        """Take the model; `products` is the type of autocast's products, None without autocast."""
        super().__init__(trainable, batches=batches)
        self.average = None  # of parts, once there are some
        self._layout, self._products = layout, products
        self._spread = False

    def configure_model(self) -> None:
        """Give every rank the first one's weights, then leave each its parts of them.

        Raises:
            ConfigurationError: the model cannot be spread; says what torch said.
        """
        if self._spread:
            return
        self._spread = True
        strategy: Any = self.trainer.strategy
        self._as_on_the_first_rank(strategy.root_device)
        strategy.precision_plugin.convert_module(self)
        mesh, layout = strategy.device_mesh, self._layout
        try:
            if layout.tensor > 1:
                plan = self.trainable.tensor_plan()
                assert plan is not None, "checked before"
                self.trainable.prepare_tensor(layout.tensor)
                split_network(self.trainable.network, plan, mesh["tensor"])
            if layout.replicate * layout.shard > 1:
                copies = mesh["replicate", "shard"]
                model = self.trainable
                spread_model(model, model.units(), copies, products=self._products, multiplying=model.multiplying)
        except REFUSED as error:
            raise ConfigurationError(
                f"model={self.trainable.recipe.name} cannot be sharded as topology.parallel asks for: {error}"
            ) from error
        self.average = self._new_average()
        self._join_batches_once(mesh)

    def _as_on_the_first_rank(self, device: torch.device) -> None:
        """Equal seeds give equal weights on equal hosts; data parallel training does not rely on it either."""
        for tensor in (*self.trainable.parameters(), *self.trainable.buffers()):
            there = tensor.detach().to(device).contiguous()
            distributed.broadcast(there, src=0)
            tensor.detach().copy_(there)

    def _join_batches_once(self, mesh: Any) -> None:
        """Let metrics join ranks with batches of their own alone: those of one tensor group saw the same ones."""
        if self._layout.tensor == 1:
            return
        groups = mesh.mesh.reshape(-1, self._layout.tensor).T.tolist()
        own, _ = distributed.new_subgroups_by_enumeration(groups)
        for metric in self.trainable.metrics.values():
            metric.process_group = own

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Agree on whether gradients are finite, where a scaler will ask."""
        scaler = getattr(self.trainer.strategy.precision_plugin, "scaler", None)
        if scaler is not None and scaler.is_enabled():
            greatest_over_ranks(scaler)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the metrics, unless the batch was counted before."""
        if not batch.pop(REPEATED, False):
            super().validation_step(batch, batch_idx)
            return
        kept, self.trainable.metrics = self.trainable.metrics, without_counting(self.trainable.metrics)
        super().validation_step(batch, batch_idx)
        self.trainable.metrics = kept

    def on_validation_epoch_start(self) -> None:
        """Evaluate with the first rank's statistics, those that are saved."""
        self._spread_again()
        super().on_validation_epoch_start()
        for buffer in self.trainable.buffers():
            distributed.broadcast(buffer, src=0)

    def on_validation_epoch_end(self) -> None:
        """Forget the weights gathered last before the averages are taken out of their places."""
        self._spread_again()
        super().on_validation_epoch_end()

    def _spread_again(self) -> None:
        """A forward pass that no backward pass follows leaves weights gathered."""
        for module in spread_modules(self.trainable):
            module.reshard()

    def _value(self, metric: Any) -> Tensor:
        """The first rank's: ranks that differed in a last digit would part where training ends at a target."""
        own = super()._value(metric)
        return self.trainer.strategy.broadcast(own) if self._layout.tensor > 1 else own

"""The steps of megatron-core: all microbatches through its pipeline schedule, then its own optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning_fabric.utilities import move_data_to_device
from megatron.core import parallel_state
from torch import Tensor

from models.datasets.base import Batch, Counts
from models.ports.megatron.port import MegatronPort, Sharing
from models.ports.port import Arrays
from models.trainable import Trainable
from runner.frameworks.mcore import checkpoints
from runner.frameworks.mcore.evidence import SeenProducts, scaler_of
from runner.frameworks.mcore.groups import make_groups, place_on_device, seed_ranks
from runner.frameworks.mcore.network import connect, wrapped
from runner.frameworks.mcore.optimizer import build_optimizer, inner, set_rate
from runner.frameworks.mcore.passes import Pipeline
from runner.frameworks.mcore.weights import named_wholes, owned_count, set_weights, whole_weights
from runner.frameworks.ported.recipe import treatments
from runner.frameworks.ported.stepper import PortedStepper
from runner.frameworks.precision import verify_precision
from runner.measure.context import Context


class MegatronStepper(PortedStepper):
    """Holds one rank's stage, and the part of the optimizer's state that is the rank's."""

    port_kind: ClassVar[type[Any]] = MegatronPort
    port: MegatronPort
    passes_per_step = 1

    def __init__(self, context: Context, trainable: Trainable) -> None:
        self._at = place_on_device(context)
        super().__init__(context, trainable)
        self._pipeline = Pipeline(self.port, self._model, self._at)
        self._skipped: bool | None = None
        if context.world > 1:
            for metric in trainable.metrics.values():  # ranks of one copy see the same sequences
                metric.process_group = parallel_state.get_data_parallel_group()

    # --- the network ------------------------------------------------------------------------------------------

    def build_port(self, kind: type[Any]) -> MegatronPort:
        """This rank's stage, on its device, with its optimizer; the weights follow."""
        options: Any = self.case.framework
        precision, parallel = self.case.precision, self.case.topology.parallel
        make_groups(self.context)
        sharing = Sharing(
            tensor=parallel.tensor,
            pipeline=parallel.pipeline,
            sequence_parallel=options.sequence_parallel,
            computed_in=precision.autocast or precision.weights,
            recomputed=options.activation_checkpointing,
        )
        port: MegatronPort = kind(self.original, sharing=sharing)
        self._model = wrapped(port, self._at, spread=options.distributed_optimizer)
        by_name = treatments(port)
        self._optimizer = build_optimizer(
            self.original.recipe.training,
            self._model,
            {parameter: by_name[name] for name, parameter in named_wholes(port)},
            computed_in=port.config.params_dtype,
            spread=options.distributed_optimizer,
        )
        connect(port, self._model, self._optimizer)
        return port

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """This rank's parts, and of each the float32 copy that is updated."""
        set_weights(self.port, self._optimizer, weights)

    def weights(self) -> dict[str, Any]:
        """On the first rank, as they are updated; nothing on the others."""
        return whole_weights(self.port, self._optimizer, self.ranks)

    def parameter_count(self) -> int:
        """Over the stages and parts of one copy."""
        copies: int = parallel_state.get_data_parallel_world_size()
        return round(self.ranks.sum(float(owned_count(self.port)))) // copies

    # --- the step ---------------------------------------------------------------------------------------------

    def begin_training(self) -> None:
        """Forward passes are those of training again."""
        self._model.train()

    def place(self, batch: Batch) -> Arrays:
        """Onto this rank's device."""
        moved: Arrays = move_data_to_device(batch, self._at)
        return moved

    def next_batch(self, batches: Iterator[Batch]) -> list[Arrays]:
        """The microbatches of a step."""
        return [self.placed(next(batches)) for _ in range(self.passes)]

    def count(self, batch: Any) -> Counts:
        """In all microbatches of a step."""
        counts = [self.original.count(one) for one in batch]
        tokens = [one.tokens for one in counts if one.tokens is not None]
        samples = sum(one.samples for one in counts)
        return Counts(samples, sum(tokens) if len(tokens) == len(counts) else None)

    def take_pass(self, batch: Any) -> Tensor:
        """Every microbatch forward and backward, then the optimizer step."""
        self._model.zero_grad_buffer()
        self._optimizer.zero_grad()
        loss = self._pipeline.trained(batch)
        set_rate(self._optimizer, self.rates.rate())
        taken, *_ = self._optimizer.step()
        self._skipped = None if self._scaler is None else not taken
        self.rates.step()
        return loss

    @property
    def skipped(self) -> bool | None:
        """Whether a gradient of any rank was not finite; megatron-core waits for the device to know."""
        return self._skipped

    @property
    def _scaler(self) -> Any:
        return getattr(inner(self._optimizer), "grad_scaler", None)

    # --- precision --------------------------------------------------------------------------------------------

    def verify_precision(self) -> None:
        """Look at the stage's weights, at those that are updated, and at the products of one forward pass."""
        verify_precision(
            self.context,
            self.port.network,
            self._at,
            nullcontext,
            plugin=scaler_of(inner(self._optimizer)),
            optimizers=[inner(self._optimizer).optimizer],
            beside=self.probe(),
        )

    def probe(self) -> dict[str, Any]:
        """Types of what is multiplied in a forward pass of all stages."""
        batch = self.place(self.original.synthetic_batch(1))
        with SeenProducts() as seen:
            self.judged(batch)
        found = sorted(seen.types)
        return {"products": found, "probed": f"types of {seen.types.total()} products of a forward pass"}

    # --- evaluation, checkpoints ------------------------------------------------------------------------------

    def judged(self, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """On the network as it is, without dropout."""
        self._model.eval()
        found = self._pipeline.judged(batch)
        self._model.train()
        return found

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The original's metrics, on the device, over the data parallel ranks."""
        self.original.reset_metrics(self._at)
        for batch in batches:
            for name, values in self.judged(self.place(batch)).items():
                self.original.metrics[name].update(*values)
        computed = {name: torch.as_tensor(metric.compute()) for name, metric in self.original.metrics.items()}
        return {name: float(value.cpu().double()) for name, value in computed.items()}

    def optimizer_state(self) -> dict[str, Any]:
        """This rank's; float32 weights are in the checkpoint's own."""
        scaler = self._scaler
        kept = {"optimizer": inner(self._optimizer).optimizer.state_dict()}
        return kept | ({} if scaler is None else {"scaler": scaler.state_dict()})

    def set_optimizer_state(self, state: dict[str, Any]) -> None:
        """Of this rank."""
        inner(self._optimizer).optimizer.load_state_dict(state["optimizer"])
        if self._scaler is not None:
            self._scaler.load_state_dict(state["scaler"])

    def save(self, path: Path, state: dict[str, Any]) -> None:
        """The whole weights in one file, each rank's state beside it."""
        own = {"state": state, "steps": self.rates.steps}
        checkpoints.save(path, self._of_original(), own, self.optimizer_state(), self.ranks)

    def load(self, path: Path) -> dict[str, Any]:
        """Go on from them."""
        weights, own, state = checkpoints.load(path, self.ranks)
        self.original.network.load_state_dict(weights)
        self.set_weights(self.port.from_original())
        self.set_optimizer_state(state)
        self.rates.steps = own["steps"]
        seed_ranks(self.context, self.rates.steps)
        kept: dict[str, Any] = own["state"]
        return kept

    def save_weights(self, path: Path) -> None:
        """The whole weights."""
        from runner.frameworks.ported.checkpoints import save

        save(path, self._of_original(), None, self.ranks)

    def _of_original(self) -> dict[str, Tensor]:
        """The original's state dict, on the first rank."""
        whole = self.weights()
        return self.port.to_original(whole) if self.ranks.rank == 0 else {}

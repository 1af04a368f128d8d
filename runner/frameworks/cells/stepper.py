"""Steps of a MindSpore port: compiled as one graph each, or run operator by operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

import mindspore
from mindspore import Tensor, ops

from models.datasets.base import Batch
from models.ports.arrays import to_array, to_tensor
from models.ports.mindspore.port import MindsporePort
from models.ports.port import Arrays, PortError
from models.trainable import Trainable
from runner.frameworks.cells.arrays import placed
from runner.frameworks.cells.optimizer import build_rule
from runner.frameworks.cells.probe import probed
from runner.frameworks.cells.programs import Programs
from runner.frameworks.cells.step import build_passes
from runner.frameworks.ported.recipe import treatments
from runner.frameworks.ported.stepper import PortedStepper
from runner.measure.context import Context


class MindsporeStepper(PortedStepper):
    """Holds the port's cells, and the functions of a pass and of a step over them."""

    port_kind: ClassVar[type[Any]] = MindsporePort
    port: MindsporePort

    def __init__(self, context: Context, trainable: Trainable) -> None:
        """Build the port and its step.

        Raises:
            ConfigurationError: the port does not do what the recipe asks for, or is another network.
        """
        super().__init__(context, trainable)
        recipe, options = trainable.recipe.training, cast("Any", context.case.framework)
        weights = self._trained()
        programs = Programs(context.events, compiles=options.mode == "graph")
        accumulate, step, self._state = build_passes(
            self.port.loss_cell,
            weights,
            build_rule(recipe.optimizer, weights, treatments(self.port)),
            passes=self.passes,
            scales=self.case.precision.loss_scaling,
            max_norm=recipe.max_grad_norm,
            world=self.ranks.world,
        )
        self._accumulate, self._step = programs.of("pass", accumulate), programs.of("step", step)
        self._scores = programs.of("evaluation", self._evaluated)
        self._finite: Tensor | None = None

    # --- the network ------------------------------------------------------------------------------------------

    def build_port(self, kind: type[Any]) -> MindsporePort:
        """With the precision's type of products."""
        port: MindsporePort = kind(self.original, products=self.case.precision.autocast or "float32")
        return port

    def _trained(self) -> list[Any]:
        return [one for one in self.port.parameters.values() if one.requires_grad]

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Into the parameters, in their types."""
        own = self.port.parameters
        if different := sorted(own.keys() ^ weights.keys()):
            raise PortError(f"weights differ by name: {', '.join(different[:3])}")
        for name, array in weights.items():
            if tuple(own[name].shape) != array.shape:
                raise PortError(f"{name} has shape {tuple(own[name].shape)}, the original's {array.shape}")
            own[name].set_data(Tensor(array, own[name].dtype))

    def weights(self) -> dict[str, Any]:
        """From the device; of several ranks, the first one's statistics are kept, as torch keeps them."""
        return {name: one.asnumpy() for name, one in self.port.parameters.items()}

    def parameter_count(self) -> int:
        """Of the parameters with gradients."""
        return sum(one.size for one in self._trained())

    # --- the step ---------------------------------------------------------------------------------------------

    def place(self, batch: Batch) -> Arrays:
        """As MindSpore's tensors."""
        return placed(batch)

    def begin_training(self) -> None:
        """Normalise by the batch's own statistics."""
        self.port.loss_cell.set_train(True)

    def take_pass(self, batch: Arrays) -> Tensor:
        """Submit a pass, or with its optimizer step the last one."""
        if not self.port.loss_cell.training:
            self.begin_training()
        arrays = [batch[name] for name in self.port.inputs]
        if not self.ends_step():
            share: Tensor = self._accumulate(*arrays)
            return share
        share, self._finite = self._step(Tensor(self.rates.rate(), mindspore.float32), *arrays)
        self.rates.step()
        return share

    @property
    def skipped(self) -> Any:
        """Whether the last step met a gradient that was not finite, on the device; None where nothing is scaled."""
        if not self.case.precision.loss_scaling or self._finite is None:
            return None
        return ops.logical_not(self._finite)

    # --- evaluation, checkpoints ------------------------------------------------------------------------------

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """With the first rank's statistics on every rank."""
        self.port.loss_cell.set_train(False)
        if self.ranks.world > 1:
            spread = ops.Broadcast(0)
            for one in self.port.parameters.values():
                if not one.requires_grad:
                    one.set_data(spread((one,))[0])
        return super().evaluate(batches)

    def _evaluated(self, *arrays: Tensor) -> Any:
        return self.port.network(*arrays)

    def judged(self, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """On the weights and statistics as they are."""
        found = self.port.judge(self._scores, batch)
        return {name: tuple(one.asnumpy() for one in values) for name, values in found.items()}

    def optimizer_state(self) -> dict[str, Any]:
        """Moments, steps taken and the loss scale, by name."""
        return {name: to_tensor(one.asnumpy()) for name, one in self._state.items()}

    def set_optimizer_state(self, state: dict[str, Any]) -> None:
        """By name."""
        for name, one in self._state.items():
            one.set_data(Tensor(to_array(state[name]), one.dtype))

    # --- precision --------------------------------------------------------------------------------------------

    def probe(self) -> dict[str, Any]:
        """By one sample through the network, and products on the device."""
        self.port.loss_cell.set_train(False)
        sample = self.place(self.original.synthetic_batch(1))
        image = (sample[self.port.inputs[0]],)
        return probed(self.port.network, self.port.parameters, image, scales=self.case.precision.loss_scaling)

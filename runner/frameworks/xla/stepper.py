"""The steps of a JAX port: forward, backward and optimizer in one compiled program whose buffers are reused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import jax
import numpy as np
import torch
from jax import numpy as jnp
from torch import Tensor

from models.datasets.base import Batch, Counts
from models.ports.arrays import to_array, to_tensor
from models.ports.jax.port import JaxPort
from models.ports.port import Arrays, PortError
from models.trainable import Trainable
from runner.core.errors import ConfigurationError
from runner.frameworks.ported.recipe import treatments
from runner.frameworks.ported.stepper import PortedStepper
from runner.frameworks.xla import loss_scale
from runner.frameworks.xla.evaluation import ROWS, even_batches
from runner.frameworks.xla.layout import RankLayout, SpreadLayout
from runner.frameworks.xla.mesh_passes import MeshPasses
from runner.frameworks.xla.network import FlatNetwork
from runner.frameworks.xla.optimizer import build_rule
from runner.frameworks.xla.passes import PortPasses
from runner.frameworks.xla.probe import probed
from runner.frameworks.xla.programs import XlaPrograms
from runner.frameworks.xla.shardings import compiled_functions, optimizer_shardings
from runner.frameworks.xla.step import State, StepFunctions
from runner.measure.context import Context

ON_HOST = "host_batch"
"""Key of a placed batch: as it was on the host, of this rank alone."""


class JaxStepper(PortedStepper):
    """Holds weights, statistics and optimizer state as dicts by name; what a step changes is given up to it."""

    port_kind: ClassVar[type[Any]] = JaxPort
    port: JaxPort

    def __init__(self, context: Context, trainable: Trainable) -> None:
        self._programs = XlaPrograms(context.events)
        self._state: State = {}
        super().__init__(context, trainable)
        recipe = trainable.recipe.training
        try:
            rule = build_rule(recipe.optimizer, recipe.max_grad_norm, treatments(self.port))
        except PortError as error:
            raise ConfigurationError(f"framework=jax model={self.case.model.name}: {error}.") from error
        self._functions = StepFunctions(self._passes(), rule)
        params = self._state["params"]
        placed = optimizer_shardings(self._layout, rule, params)
        begin = jax.jit(rule.init, out_shardings=placed)
        start = self._programs.compiled("optimizer", lambda: begin.lower(params).compile())
        self._state["optimizer"] = start(params)
        if self.case.precision.loss_scaling:
            self._state["scale"] = self._spread(loss_scale.initial())
        self._accumulate, self._finish, self._judge = compiled_functions(self._functions, self._layout, self._state)
        self._gradients: Any = None
        self._skipped: Any = None
        self._pass_of_step = 0

    # --- the network ------------------------------------------------------------------------------------------

    def build_port(self, kind: type[Any]) -> JaxPort:
        """With the precision's types, over the case's ranks."""
        precision, device = self.case.precision, self.device.own()
        port: JaxPort = kind(self.original, weights=precision.weights, products=precision.autocast or precision.weights)
        self._network = FlatNetwork(port.network)
        several = self.context.world > 1
        self._layout = SpreadLayout(device, self.case.topology, port) if several else RankLayout(device)
        return port

    def _passes(self) -> PortPasses:
        port, network, layout, seed = self.port, self._network, self._layout, self.case.seed
        if isinstance(layout, SpreadLayout):
            return MeshPasses(port, network, layout, seed=seed)
        return PortPasses(port, network, seed=seed)

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Onto the devices, in the types of the network's own."""
        network, place = self._network, self._layout.place
        network.require(weights)
        params = {name: place(name, weights[name].astype(one.dtype)) for name, one in network.params.items()}
        rest = {name: place(name, weights[name].astype(one.dtype)) for name, one in network.rest.items()}
        self._state = self._state | {"params": params, "rest": rest}

    def weights(self) -> dict[str, Any]:
        """From the devices, whole."""
        return {name: self._layout.whole(one) for name, one in (self._state["params"] | self._state["rest"]).items()}

    def parameter_count(self) -> int:
        """Of `nnx.Param`."""
        return sum(one.size for one in self._network.params.values())

    # --- the step ---------------------------------------------------------------------------------------------

    def place(self, batch: Batch) -> Arrays:
        """Onto this rank's device."""
        placed = self._layout.batch(_host_arrays(batch))
        self.device.submitted(placed)
        return {**batch, **placed, ON_HOST: batch}

    def count(self, batch: Arrays) -> Counts:
        """As the original counts this rank's own; arrays over several ranks begin with an axis of ranks."""
        return self.original.count(batch[ON_HOST])

    def begin_training(self) -> None:
        """From here on nothing is compiled that is not told."""
        self._programs.watch()

    def take_pass(self, batch: Arrays) -> jax.Array:
        """Submit a pass, or with its optimizer step the last one."""
        arrays = _arrays(batch)
        number = np.uint32(self.rates.steps * self.passes + self._pass_of_step)
        given = (self._state, self._gradients, number)
        if self.ends_step():
            rate = np.float32(self.rates.rate())
            what = "step" if self.passes == 1 else "last pass of a step"
            share, self._state, self._skipped = self._programs.run(what, self._finish, arrays, *given, rate)
            self._gradients, self._pass_of_step = None, 0
            self.rates.step()
        else:
            what = "first pass of a step" if self._gradients is None else "pass of a step"
            share, rest, self._gradients = self._programs.run(what, self._accumulate, arrays, *given)
            self._state = self._state | {"rest": rest}
            self._pass_of_step += 1
        self.device.submitted(share)
        return share

    @property
    def skipped(self) -> Any:
        """Whether the scale was too large for the last step's gradients; None without one."""
        return self._skipped

    # --- evaluation, checkpoints ------------------------------------------------------------------------------

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """In batches of one shape, so that the last one is no program of its own; of as many on every rank."""
        return super().evaluate(self._even(batches))

    def _even(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        size = self.original.recipe.training.batch_size
        return even_batches(batches, self.ranks, self._example(), rows=size)

    def judged(self, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """On the weights as they are; of the batch's own rows."""
        found = self._programs.run(
            "evaluation", self._judge, _arrays(batch), self._state["params"], self._state["rest"]
        )
        rows = batch[ROWS]
        if not rows:
            return {}
        own: dict[str, tuple[Any, ...]] = jax.tree.map(lambda one: self._layout.own(one)[:rows], found)
        return own

    def optimizer_state(self) -> dict[str, Any]:
        """Its leaves, in their order, and the scale of the loss."""
        kept = {name: self._state[name] for name in ("optimizer", "scale") if name in self._state}
        return {"leaves": [to_tensor(self._layout.whole(one)) for one in jax.tree.leaves(kept)]}

    def set_optimizer_state(self, state: dict[str, Any]) -> None:
        """Leaf by leaf."""
        kept = {name: self._state[name] for name in ("optimizer", "scale") if name in self._state}
        own, structure = jax.tree.flatten(kept)
        leaves = [
            jax.make_array_from_callback(one.shape, one.sharding, lambda index, array=array: array[index])
            for array, one in (
                (to_array(tensor).astype(one.dtype), one) for tensor, one in zip(state["leaves"], own, strict=True)
            )
        ]
        self._state = self._state | jax.tree.unflatten(structure, leaves)

    def _example(self) -> Batch:
        """A batch of one, drawn without moving the random numbers of training."""
        with torch.random.fork_rng(devices=[]):
            return self.original.synthetic_batch(1)

    def _spread(self, values: Any) -> Any:
        return jax.tree.map(lambda one: self._layout.place("", np.asarray(one)), values)

    # --- precision --------------------------------------------------------------------------------------------

    def probe(self) -> dict[str, Any]:
        """Types of the arrays and of the products in the traced loss; bits by multiplying on the device."""
        batch = {
            name: jax.ShapeDtypeStruct(array.shape, jnp.asarray(array[:0]).dtype)
            for name, array in _host_arrays(self._example()).items()
        }
        arguments = (self._network.rest, batch, self._functions.passes.key(0))
        return probed(
            lambda params, *others: self._functions.passes.loss(params, *others)[0],
            {name: jax.ShapeDtypeStruct(one.shape, one.dtype) for name, one in self._state["params"].items()},
            arguments,
            weights=self.case.precision.weights,
            scales="scale" in self._state,
            on=self.device.own(),
        )


def _host_arrays(batch: Batch) -> dict[str, Any]:
    return {name: _narrow(to_array(value)) for name, value in batch.items() if isinstance(value, Tensor)}


def _arrays(batch: Arrays) -> dict[str, Any]:
    return {name: value for name, value in batch.items() if isinstance(value, jax.Array)}


def _narrow(array: Any) -> Any:
    """JAX's integers are 32 bits wide; ids and positions fit."""
    return array.astype(np.int32) if array.dtype == np.int64 else array

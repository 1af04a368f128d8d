"""PortPasses of all ranks together, one program that each of them runs its part of.

Each rank computes the loss of its own batch, with its own dropout and its own batch statistics, as in torch's data
parallel; running statistics are the first rank's. Gradients are averaged over the ranks once, at the end of a step.
"""

from __future__ import annotations

from typing import Any

import jax
from jax import numpy as jnp
from jax.sharding import PartitionSpec as Spec

from models.ports.jax.port import JaxPort
from models.ports.port import Arrays
from runner.frameworks.xla.layout import BATCH, DATA, FSDP, SpreadLayout
from runner.frameworks.xla.network import FlatNetwork, Tree
from runner.frameworks.xla.passes import Judged, PassResult, PortPasses


class MeshPasses(PortPasses):
    """Batches, losses and what is judged have a first axis over the ranks' batches, gradients one over the copies.

    The axes of data and fsdp are written out here; how tensor ranks share a product is XLA's to arrange.
    """

    def __init__(self, port: JaxPort, network: FlatNetwork, layout: SpreadLayout, *, seed: int) -> None:
        super().__init__(port, network, seed=seed)
        self._layout = layout
        self._axes = {name: layout.fsdp_axis(name) for name in network.params}
        specs = {name: layout.specs[name] for name in network.params}
        self._lie = {name: Spec(*(part if part == FSDP else None for part in spec)) for name, spec in specs.items()}

    def take(self, batch: Arrays, params: Tree, rest: Tree, number: Any, scale: Any) -> PassResult:
        """A pass of every rank."""

        def on_each(batch: Arrays, params: Tree, rest: Tree, number: Any, scale: Any) -> PassResult:
            rank, own = jax.lax.axis_index(BATCH), _first(batch)
            key = jax.random.fold_in(self.key(number), rank)
            share, after, gradients = self.differentiated(
                lambda params: self.loss(self._whole(params), rest, own, key), params, scale
            )
            after = jax.tree.map(lambda one: jax.lax.psum(jnp.where(rank == 0, one, 0), BATCH), after)
            return share[None], after, {name: self._summed(name, one)[None] for name, one in gradients.items()}

        taken = (Spec(BATCH), self._lie, Spec(), Spec(), Spec())
        given = (Spec(BATCH), Spec(), {name: Spec(DATA, *spec) for name, spec in self._lie.items()})
        result: PassResult = self._on_ranks(on_each, taken, given)(batch, params, rest, number, scale)
        return result

    def averaged(self, gradients: Tree) -> Tree:
        """Over the ranks' batches."""
        layout = self._layout
        return {
            name: jax.lax.with_sharding_constraint(one.sum(axis=0) / layout.batches, layout.sharding(name))
            for name, one in gradients.items()
        }

    def judge(self, batch: Arrays, params: Tree, rest: Tree) -> Judged:
        """Of every rank's batch."""

        def on_each(batch: Arrays, params: Tree, rest: Tree) -> Judged:
            found = super(MeshPasses, self).judge(_first(batch), self._whole(params), rest)
            with_axis: Judged = jax.tree.map(lambda one: one[None], found)
            return with_axis

        judged: Judged = self._on_ranks(on_each, (Spec(BATCH), self._lie, Spec()), Spec(BATCH))(batch, params, rest)
        return judged

    def _whole(self, params: Tree) -> Tree:
        """Gathered over the ranks of a copy; going back, their gradients are summed and scattered."""
        axes = self._axes
        return {
            name: one if axes[name] is None else jax.lax.all_gather(one, FSDP, axis=axes[name], tiled=True)
            for name, one in params.items()
        }

    def _summed(self, name: str, gradient: jax.Array) -> jax.Array:
        """Over the ranks of a copy, of a parameter that each of them has whole."""
        if not self._layout.sharded or self._axes[name] is not None:
            return gradient
        summed: jax.Array = jax.lax.psum(gradient, FSDP)
        return summed

    def _on_ranks(self, function: Any, taken: Any, given: Any) -> Any:
        mesh = self._layout.mesh
        return jax.shard_map(
            function, mesh=mesh, in_specs=taken, out_specs=given, axis_names=set(BATCH), check_vma=False
        )


def _first(batch: Arrays) -> Arrays:
    """This rank's batch."""
    return {name: one[0] for name, one in batch.items()}

"""Forward and backward passes of one rank, as pure functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from models.ports.jax.port import JaxPort
from models.ports.port import Arrays
from runner.frameworks.xla.network import FlatNetwork, Tree

Judged = dict[str, tuple[Any, ...]]
PassResult = tuple[jax.Array, Tree, Tree]
"""A pass's share of its step's loss; what became of the rest; gradients."""


class PortPasses:
    """A port's passes where everything lies on one device."""

    def __init__(self, port: JaxPort, network: FlatNetwork, *, seed: int) -> None:
        """Prepare.

        Args:
            port: whose loss it is.
            network: the port's.
            seed: of dropout.
        """
        self.port, self.network, self._seed = port, network, seed
        self._count = port.recipe.training.gradient_accumulation_steps

    def loss(self, params: Tree, rest: Tree, batch: Arrays, key: Any) -> tuple[jax.Array, Tree]:
        """A pass's share of its step's loss, and what became of the rest."""
        network = self.network.joined(params, rest)
        share = self.port.loss(network, batch, nnx.Rngs(dropout=key)) / self._count
        return share, self.network.rest_of(network)

    def key(self, number: Any) -> Any:
        """Random numbers of a pass, by its number since the first one of training."""
        return jax.random.fold_in(jax.random.key(self._seed), number)

    def take(self, batch: Arrays, params: Tree, rest: Tree, number: Any, scale: Any) -> PassResult:
        """A pass.

        Args:
            batch: of this rank.
            params: as they lie between steps.
            rest: running statistics and the like.
            number: of the pass, since the first one of training.
            scale: of the loss whose gradients are taken; None for 1.
        """
        key = self.key(number)
        return self.differentiated(lambda own: self.loss(own, rest, batch, key), params, scale)

    @staticmethod
    def differentiated(loss: Callable[[Tree], tuple[jax.Array, Tree]], params: Tree, scale: Any) -> PassResult:
        """Share and rest of a loss, and the gradients of its scaled form."""

        def scaled(own: Tree) -> tuple[jax.Array, tuple[jax.Array, Tree]]:
            share, after = loss(own)
            return share if scale is None else share * scale["value"], (share, after)

        gradients, (share, after) = jax.grad(scaled, has_aux=True)(params)
        return share, after, gradients

    def averaged(self, gradients: Tree) -> Tree:
        """Gradients over all ranks' batches."""
        return gradients

    def judge(self, batch: Arrays, params: Tree, rest: Tree) -> Judged:
        """What the metrics are updated with."""
        return self.port.judge(self.network.joined(params, rest), batch)

"""The functions that are compiled: a pass, the pass that ends a step, an evaluation."""

from __future__ import annotations

from typing import Any

import jax
import optax
from jax import numpy as jnp

from models.ports.port import Arrays
from runner.frameworks.xla import loss_scale
from runner.frameworks.xla.network import Tree
from runner.frameworks.xla.optimizer import stepped
from runner.frameworks.xla.passes import PassResult, PortPasses

State = dict[str, Any]
"""`params`, `rest`, `optimizer`, and `scale` in float16: what a step changes."""


class StepFunctions:
    """Pure functions of arrays: passes and an optimizer."""

    def __init__(self, passes: PortPasses, rule: optax.GradientTransformation) -> None:
        self.passes, self._rule = passes, rule
        self.judge = passes.judge

    def accumulate(self, batch: Arrays, state: State, gradients: Tree | None, number: Any) -> PassResult:
        """A pass that does not end its step: share, rest, and gradients added up."""
        share, rest, found = self.passes.take(batch, state["params"], state["rest"], number, state.get("scale"))
        return share, rest, found if gradients is None else jax.tree.map(jnp.add, gradients, found)

    def finish(
        self, batch: Arrays, state: State, gradients: Tree | None, number: Any, rate: Any
    ) -> tuple[jax.Array, State, Any]:
        """The pass that ends a step, and its update: share, state, and whether the step was skipped (or None)."""
        share, rest, gradients = self.accumulate(batch, state, gradients, number)
        gradients, finite = self.passes.averaged(gradients), None
        if "scale" in state:
            gradients, finite = loss_scale.unscaled(gradients, state["scale"])
        updates, optimizer = self._rule.update(gradients, state["optimizer"], state["params"])
        after: State = {"params": stepped(state["params"], updates, rate), "optimizer": optimizer}
        if finite is None:
            return share, after | {"rest": rest}, None
        after = loss_scale.kept_where(finite, after, {name: state[name] for name in after})
        return share, after | {"rest": rest, "scale": loss_scale.moved(state["scale"], finite)}, ~finite

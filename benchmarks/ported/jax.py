"""A loop in JAX as Flax's documentation writes it for speed: split state, one jitted step, donated buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import optax
from flax import nnx
from torch import Tensor

from benchmarks.ported.loop import endless, setting
from models.schedules import rate_factor

if TYPE_CHECKING:
    from benchmarks.bare import BarePlan


MOST_STEPS = 10_000
"""Of a measurement: the schedule is a table on the device."""


class JaxLoop:
    """The port's network under optax's own optimizer and schedule."""

    def __init__(self, plan: BarePlan) -> None:
        jax.config.update("jax_default_matmul_precision", "highest")
        made = setting(plan)
        self.trainable, self.batches, training = made.original, endless(made.batch), plan.recipe.training
        port = made.port(made.original, weights="float32", products="float32")
        graph, params, rest = nnx.split(port.network, nnx.Param, ...)
        self._params, self._rest = (_filled(state, port.from_original()) for state in (params, rest))
        rule = _rule(training)
        self._state = rule.init(self._params)

        def step(params: Any, rest: Any, state: Any, batch: Any) -> tuple[Any, Any, Any, Any]:
            def loss_of(params: Any, rest: Any) -> tuple[Any, Any]:
                network = nnx.merge(graph, params, rest, copy=True)
                loss = port.loss(network, batch)
                return loss, nnx.split(network, nnx.Param, ...)[2]

            (loss, new_rest), gradients = jax.value_and_grad(loss_of, has_aux=True)(params, rest)
            updates, new_state = rule.update(gradients, state, params)
            return optax.apply_updates(params, updates), new_rest, new_state, loss

        self._step = jax.jit(step, donate_argnums=(0, 1, 2))
        arrays = {name: value.numpy() for name, value in made.batch.items() if isinstance(value, Tensor)}
        self._batch = jax.device_put(
            {name: one.astype(np.int32) if one.dtype == np.int64 else one for name, one in arrays.items()}
        )

    def step(self) -> Any:
        """One step."""
        self._params, self._rest, self._state, loss = self._step(self._params, self._rest, self._state, self._batch)
        self._loss = loss
        return loss

    def synchronize(self) -> None:
        """Wait for the last loss."""
        if hasattr(self, "_loss"):
            jax.block_until_ready(self._loss)

    def meet(self) -> None:
        """There are no other ranks."""
        self.synchronize()


def _filled(state: Any, weights: dict[str, Any]) -> Any:
    """The port's state, which has shapes alone, with the original's weights."""
    flat = nnx.to_flat_state(state)
    return nnx.from_flat_state(
        [(path, one.replace(jax.numpy.asarray(weights[".".join(map(str, path))]))) for path, one in flat]
    )


def _rule(training: Any) -> Any:
    """Optax's optimizer with the recipe's schedule; weight decay on matrices as the recipe says."""
    recipe = training.optimizer
    rates = np.array([recipe.lr * rate_factor(training.schedule, step) for step in range(MOST_STEPS)], np.float32)

    def schedule(count: Any) -> Any:
        return jax.numpy.asarray(rates)[count]

    clip = [] if training.max_grad_norm is None else [optax.clip_by_global_norm(training.max_grad_norm)]
    if recipe.name == "sgd":
        return optax.chain(
            *clip, optax.add_decayed_weights(recipe.weight_decay), optax.sgd(schedule, momentum=recipe.momentum)
        )
    first, second = recipe.betas or (0.9, 0.999)

    def matrices(params: Any) -> Any:
        return jax.tree.map(lambda one: one.ndim > 1, params)

    return optax.chain(
        *clip,
        optax.adamw(
            schedule, b1=first, b2=second, eps=recipe.eps or 1e-8, weight_decay=recipe.weight_decay, mask=matrices
        ),
    )


def build(plan: BarePlan) -> JaxLoop:
    """The loop of a plan."""
    return JaxLoop(plan)

"""The recipe's optimizer in optax, with torch's meaning of each setting; the rate is given with every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import optax
from jax import numpy as jnp

from models.ports.port import PortError
from models.training import Optimizer
from runner.frameworks.ported.recipe import Treatment

CLIP_EPS = 1e-6
"""What torch adds to a norm before it divides by it."""
LAMB_NORM, LAMB_EPS = 1.0, 1e-6
"""timm.optim.Lamb's defaults: the norm of all gradients that it clips to by itself, and its eps."""
ADAM_EPS, BETAS = 1e-8, (0.9, 0.999)
"""torch.optim.Adam's defaults."""


def build_rule(
    recipe: Optimizer, max_grad_norm: float | None, treatments: Mapping[str, Treatment]
) -> optax.GradientTransformation:
    """What turns gradients into updates of rate 1, over a dict of parameters by name.

    Raises:
        PortError: there is no such optimizer here in torch's form.
    """
    decays = {name: one.weight_decay for name, one in treatments.items()}
    decayed = {name for name, decay in decays.items() if decay}
    decay = _decay(decays) if decayed else optax.identity()
    clip = optax.identity() if max_grad_norm is None else _clip(max_grad_norm, CLIP_EPS)
    eps = recipe.eps or (LAMB_EPS if recipe.name == "lamb" else ADAM_EPS)
    adam = optax.scale_by_adam(*(recipe.betas or BETAS), eps=eps)
    momentum = optax.trace(recipe.momentum, nesterov=bool(recipe.nesterov)) if recipe.momentum else optax.identity()
    rules = {
        "sgd": (decay, momentum),
        "adam": (decay, adam),
        "adamw": (adam, decay),
        "lamb": (_clip(LAMB_NORM), adam, decay, _trust(decayed)),
    }
    if recipe.name not in rules:
        raise PortError(f"model.train.optimizer.name={recipe.name} is not done here; these are: {', '.join(rules)}")
    return optax.chain(clip, *rules[recipe.name], _scaled({name: one.rate_ratio for name, one in treatments.items()}))


def stepped(params: Any, updates: Any, rate: jax.Array) -> Any:
    """The parameters after a step of this rate."""
    return jax.tree.map(lambda weight, update: (weight - rate * update).astype(weight.dtype), params, updates)


def _stateless(update: Any) -> optax.GradientTransformation:
    def updated(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return update(updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), updated)


def _clip(norm: float, eps: float = 0.0) -> optax.GradientTransformation:
    """Scales all gradients by norm / (theirs + eps) where that is below 1."""

    def clipped(updates: Any, params: Any) -> Any:
        factor = jnp.minimum(1.0, norm / (optax.global_norm(updates) + eps))
        return jax.tree.map(lambda one: (one * factor).astype(one.dtype), updates)

    return _stateless(clipped)


def _decay(factors: Mapping[str, float]) -> optax.GradientTransformation:
    """Adds to each update its parameter times its factor."""
    return _stateless(
        lambda updates, params: {name: one + factors[name] * params[name] for name, one in updates.items()}
    )


def _scaled(factors: Mapping[str, float]) -> optax.GradientTransformation:
    """Multiplies each update by its factor."""
    return _stateless(lambda updates, params: {name: one * factors[name] for name, one in updates.items()})


def _trust(names: set[str]) -> optax.GradientTransformation:
    """LAMB's ratio, norm of a parameter over that of its update: of those with weight decay alone, as timm has it."""

    def adapted(updates: Any, params: Any) -> Any:
        return {name: one * _ratio(params[name], one) if name in names else one for name, one in updates.items()}

    return _stateless(adapted)


def _ratio(weight: jax.Array, update: jax.Array) -> jax.Array:
    """1 where one of the two norms is 0."""
    own, other = jnp.linalg.norm(weight.ravel()), jnp.linalg.norm(update.ravel())
    return jnp.where((own > 0) & (other > 0), own / jnp.where(other > 0, other, 1.0), 1.0)

"""The scale of the loss in float16, moved inside the compiled step by the rules of torch's `GradScaler`."""

from __future__ import annotations

from typing import Any

import jax
from jax import numpy as jnp

INITIAL, GROWTH, BACKOFF, INTERVAL = 65536.0, 2.0, 0.5, 2000
"""torch.amp.GradScaler's defaults."""
Scale = dict[str, Any]
"""`value`, and `taken`: steps in a row that were taken since it last changed."""


def initial() -> Scale:
    """Before the first step."""
    return {"value": jnp.float32(INITIAL), "taken": jnp.int32(0)}


def unscaled(gradients: Any, scale: Scale) -> tuple[Any, jax.Array]:
    """The gradients divided by the scale, and whether every one of them is finite."""
    gradients = jax.tree.map(lambda one: one / scale["value"], gradients)
    finite = jnp.stack([jnp.isfinite(one).all() for one in jax.tree.leaves(gradients)]).all()
    return gradients, finite


def moved(scale: Scale, finite: jax.Array) -> Scale:
    """After a step: halved when it was skipped, doubled after `INTERVAL` steps in a row that were taken."""
    taken = jnp.where(finite, scale["taken"] + 1, 0)
    grows = taken == INTERVAL
    grown = jnp.where(grows, scale["value"] * GROWTH, scale["value"])
    # A scale that would become infinite stays, as torch's does.
    grown = jnp.where(jnp.isfinite(grown), grown, scale["value"])
    return {
        "value": jnp.where(finite, grown, scale["value"] * BACKOFF),
        "taken": jnp.where(grows, 0, taken).astype(jnp.int32),
    }


def kept_where(finite: jax.Array, new: Any, old: Any) -> Any:
    """The new arrays where the step was taken, else the old ones."""
    return jax.tree.map(lambda one, other: jnp.where(finite, one, other), new, old)

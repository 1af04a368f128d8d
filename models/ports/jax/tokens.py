"""Cross entropy over token targets; `models.language.loss` in JAX."""

from __future__ import annotations

import jax
from jax import numpy as jnp

from models.datasets.language.tokens.next_token import IGNORED


def negative_log_likelihoods(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Of each target, float32 whatever the type of the network; of one that is below 0, something finite.

    Args:
        logits: (..., vocabulary).
        targets: integers (...).
    """
    logits = logits.astype(jnp.float32)
    chosen = jnp.take_along_axis(logits, jnp.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def mean_loss(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean over the targets that are not `IGNORED`; NaN when none counts, as torch's.

    Args:
        logits: (..., classes).
        targets: integers (...).
    """
    counted = targets != IGNORED
    losses = jnp.where(counted, negative_log_likelihoods(logits, targets), 0.0)
    return losses.sum() / counted.sum()

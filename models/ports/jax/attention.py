"""Attention over heads: JAX's own where it can be had, else written out with the same types."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax import numpy as jnp

Drop = Callable[[jax.Array], jax.Array]


def attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    mask: jax.Array | None = None,
    causal: bool = False,
    drop: Drop | None = None,
) -> jax.Array:
    """Softmax in float32, products in the type of the arguments.

    JAX's own drops no weights, and its products of float16 are not there on the host's processor.

    Args:
        query: (batch, length, heads, head size).
        key: (batch, length, key heads, head size); groups of heads share one.
        value: as `key`.
        mask: bool, to be broadcast to (batch, heads, length, length): what is seen.
        causal: whether each place sees itself and what came before alone.
        drop: what becomes of the weights, float32.

    Returns:
        As `query`.
    """
    if drop is None and query.dtype != jnp.float16:
        return jax.nn.dot_product_attention(query, key, value, mask=mask, is_causal=causal)
    shared = query.shape[2] // key.shape[2]
    key, value = (jnp.repeat(one, shared, axis=2) for one in (key, value))
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=jnp.float32)
    scores /= query.shape[-1] ** 0.5
    if causal:
        before = jnp.tril(jnp.ones(scores.shape[-2:], bool))
        mask = before if mask is None else mask & before
    if mask is not None:
        scores = jnp.where(mask, scores, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(scores, axis=-1)
    weights = (weights if drop is None else drop(weights)).astype(value.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, value)

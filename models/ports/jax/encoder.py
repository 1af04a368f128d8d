"""A layer of BERT's encoder in flax.nnx: attention and feed forward, each normalised after its residual."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from models.language.encoders.bert import BertArchitecture
from models.ports.jax.attention import attention

Types = dict[str, Any]
EPSILON = 1e-12
"""Of BERT's norms."""


def dense(inputs: int, outputs: int, types: Types, rngs: Any) -> nnx.Linear:
    """A linear layer with a bias."""
    return nnx.Linear(inputs, outputs, rngs=rngs, **types)


def layer_norm(size: int, types: Types, rngs: Any) -> nnx.LayerNorm:
    """Mean and variance are taken in float32, in two passes as torch takes them."""
    return nnx.LayerNorm(size, epsilon=EPSILON, use_fast_variance=False, rngs=rngs, **types)


class BertAttentionJax(nnx.Module):
    """Attention over the places that are no padding, its projection, residual and norm."""

    def __init__(self, sizes: BertArchitecture, types: Types, rngs: Any) -> None:
        self.heads = sizes.heads
        self.query = dense(sizes.hidden, sizes.hidden, types, rngs)
        self.key = dense(sizes.hidden, sizes.hidden, types, rngs)
        self.value = dense(sizes.hidden, sizes.hidden, types, rngs)
        self.dense = dense(sizes.hidden, sizes.hidden, types, rngs)
        self.LayerNorm = layer_norm(sizes.hidden, types, rngs)
        self.weights_dropout = nnx.Dropout(sizes.dropout)
        self.dropout = nnx.Dropout(sizes.dropout)

    def __call__(self, hidden: jax.Array, attended: jax.Array, rngs: Any) -> jax.Array:
        """(batch, length, hidden) to the same shape; `attended` is bool (batch, length)."""
        by_head = (*hidden.shape[:2], self.heads, -1)
        query, key, value = (layer(hidden).reshape(by_head) for layer in (self.query, self.key, self.value))
        drops = self.weights_dropout.rate and not self.weights_dropout.deterministic
        drop = (lambda weights: self.weights_dropout(weights, rngs=rngs)) if drops else None
        mixed = attention(query, key, value, mask=attended[:, None, None, :], drop=drop)
        return self.LayerNorm(hidden + self.dropout(self.dense(mixed.reshape(hidden.shape)), rngs=rngs))


class BertIntermediateJax(nnx.Module):
    """The wide half of the feed-forward layer."""

    def __init__(self, sizes: BertArchitecture, types: Types, rngs: Any) -> None:
        self.dense = dense(sizes.hidden, sizes.intermediate, types, rngs)

    def __call__(self, hidden: jax.Array) -> jax.Array:
        """(batch, length, hidden) to (batch, length, intermediate)."""
        return jax.nn.gelu(self.dense(hidden), approximate=False)


class BertOutputJax(nnx.Module):
    """The narrow half, residual and norm."""

    def __init__(self, sizes: BertArchitecture, types: Types, rngs: Any) -> None:
        self.dense = dense(sizes.intermediate, sizes.hidden, types, rngs)
        self.LayerNorm = layer_norm(sizes.hidden, types, rngs)
        self.dropout = nnx.Dropout(sizes.dropout)

    def __call__(self, wide: jax.Array, residual: jax.Array, rngs: Any) -> jax.Array:
        """(batch, length, intermediate) to (batch, length, hidden)."""
        return self.LayerNorm(residual + self.dropout(self.dense(wide), rngs=rngs))


class BertLayerJax(nnx.Module):
    """Attention, then feed forward."""

    def __init__(self, sizes: BertArchitecture, types: Types, rngs: Any) -> None:
        self.attention = BertAttentionJax(sizes, types, rngs)
        self.intermediate = BertIntermediateJax(sizes, types, rngs)
        self.output = BertOutputJax(sizes, types, rngs)

    def __call__(self, hidden: jax.Array, attended: jax.Array, rngs: Any) -> jax.Array:
        """(batch, length, hidden) to the same shape."""
        hidden = self.attention(hidden, attended, rngs)
        return self.output(self.intermediate(hidden), hidden, rngs)

"""Llama in JAX: transformers' network, its layers under transformers' names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx
from jax import numpy as jnp

from models.language.decoders.llama import LlamaArchitecture
from models.ports.jax.attention import attention
from models.ports.jax.dialect import FLAX
from models.ports.jax.port import JaxPort
from models.ports.jax.tokens import mean_loss, negative_log_likelihoods
from models.ports.port import Arrays
from models.ports.weights import WeightPlace, mirrored

Types = dict[str, Any]


def rotated(values: jax.Array, base: float) -> jax.Array:
    """Rotary positions in Hugging Face's form: the first half of a head is turned against its second half.

    Args:
        values: (batch, length, heads, head size); the first place has position 0.
        base: of the wave lengths.
    """
    half = values.shape[-1] // 2
    speeds = 1.0 / base ** (jnp.arange(half, dtype=jnp.float32) / half)
    angles = jnp.arange(values.shape[1], dtype=jnp.float32)[:, None] * speeds
    cosine, sine = jnp.cos(angles)[:, None, :], jnp.sin(angles)[:, None, :]
    first, second = jnp.split(values.astype(jnp.float32), 2, axis=-1)
    turned = jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
    return turned.astype(values.dtype)


class LlamaAttentionJax(nnx.Module):
    """Causal attention; groups of heads share keys and values."""

    def __init__(self, sizes: LlamaArchitecture, types: Types, rngs: Any) -> None:
        self.size = sizes.hidden // sizes.heads
        self.base = sizes.rope_base
        given = {"use_bias": False, "rngs": rngs, **types}
        shared = sizes.key_value_heads * self.size
        self.q_proj = nnx.Linear(sizes.hidden, sizes.hidden, **given)
        self.k_proj = nnx.Linear(sizes.hidden, shared, **given)
        self.v_proj = nnx.Linear(sizes.hidden, shared, **given)
        self.o_proj = nnx.Linear(sizes.hidden, sizes.hidden, **given)

    def __call__(self, hidden: jax.Array) -> jax.Array:
        """(batch, length, hidden) to the same shape."""
        by_head = (*hidden.shape[:2], -1, self.size)
        query = rotated(self.q_proj(hidden).reshape(by_head), self.base)
        key = rotated(self.k_proj(hidden).reshape(by_head), self.base)
        value = self.v_proj(hidden).reshape(by_head)
        mixed = attention(query, key, value, causal=True)
        return self.o_proj(mixed.reshape(*hidden.shape[:2], -1))


class LlamaFeedForwardJax(nnx.Module):
    """SwiGLU."""

    def __init__(self, sizes: LlamaArchitecture, types: Types, rngs: Any) -> None:
        given = {"use_bias": False, "rngs": rngs, **types}
        self.gate_proj = nnx.Linear(sizes.hidden, sizes.intermediate, **given)
        self.up_proj = nnx.Linear(sizes.hidden, sizes.intermediate, **given)
        self.down_proj = nnx.Linear(sizes.intermediate, sizes.hidden, **given)

    def __call__(self, hidden: jax.Array) -> jax.Array:
        """(batch, length, hidden) to the same shape."""
        return self.down_proj(jax.nn.silu(self.gate_proj(hidden)) * self.up_proj(hidden))


class LlamaBlockJax(nnx.Module):
    """Attention, then feed forward, each on normalised values beside a residual."""

    def __init__(self, sizes: LlamaArchitecture, types: Types, rngs: Any) -> None:
        norm = {"epsilon": sizes.norm_epsilon, "rngs": rngs, "use_fast_variance": False, **types}
        self.input_layernorm = nnx.RMSNorm(sizes.hidden, **norm)
        self.self_attn = LlamaAttentionJax(sizes, types, rngs)
        self.post_attention_layernorm = nnx.RMSNorm(sizes.hidden, **norm)
        self.mlp = LlamaFeedForwardJax(sizes, types, rngs)

    def __call__(self, hidden: jax.Array) -> jax.Array:
        """(batch, length, hidden) to the same shape."""
        hidden = hidden + self.self_attn(self.input_layernorm(hidden))
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class LlamaNetworkJax(nnx.Module):
    """Ids (batch, length) to scores of the next token (batch, length, padded vocabulary)."""

    def __init__(self, sizes: LlamaArchitecture, types: Types, rngs: Any) -> None:
        norm = {"epsilon": sizes.norm_epsilon, "rngs": rngs, "use_fast_variance": False, **types}
        self.embed_tokens = nnx.Embed(sizes.padded_vocabulary, sizes.hidden, rngs=rngs, **types)
        self.layers = nnx.List([LlamaBlockJax(sizes, types, rngs) for _ in range(sizes.layers)])
        self.norm = nnx.RMSNorm(sizes.hidden, **norm)
        self.lm_head = nnx.Linear(sizes.hidden, sizes.padded_vocabulary, use_bias=False, rngs=rngs, **types)

    def __call__(self, ids: jax.Array) -> jax.Array:
        """Scores, not normalised."""
        hidden = self.embed_tokens(ids)
        for layer in self.layers:
            hidden = layer(hidden)
        return self.lm_head(self.norm(hidden))


class LlamaJax(JaxPort):
    """`models.language.decoders.llama.Llama` in flax.nnx."""

    def build(self, rngs: Any) -> Any:
        """The network."""
        sizes: Any = self.original
        return LlamaNetworkJax(sizes.sizes, self.types, rngs)

    def places(self) -> Mapping[str, WeightPlace]:
        """Layer by layer."""
        return mirrored(self.original.network, FLAX, renamed=((r"^model\.", ""),))

    def loss(self, network: Any, batch: Arrays, rngs: Any = None) -> jax.Array:
        """Mean cross entropy over the places that have a target."""
        return mean_loss(network(batch["input_ids"]), batch["targets"])

    def judge(self, network: Any, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """Mean cross entropy of each sequence."""
        losses = negative_log_likelihoods(network(batch["input_ids"]), batch["targets"])
        return {"perplexity": (losses.mean(axis=-1),)}

"""Llama in Paddle: transformers' network, its layers under transformers' names."""

from __future__ import annotations

from typing import Any

import paddle
from paddle import Tensor, nn
from paddle.nn import functional

from models.ports.paddle.attention import attention
from models.ports.paddle.tokens import DecoderPaddle


class RmsNormPaddle(nn.Layer):
    """Divides by the root of the mean square, in float32; then the type is the input's again."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = self.create_parameter([size], default_initializer=nn.initializer.Constant(1.0))
        self._epsilon = epsilon

    def forward(self, values: Tensor) -> Tensor:
        """Shape of the input."""
        wide = values.astype("float32")
        wide = wide * paddle.rsqrt(wide.square().mean(axis=-1, keepdim=True) + self._epsilon)
        return self.weight * wide.astype(values.dtype)


class LlamaAttentionPaddle(nn.Layer):
    """Causal attention with rotary positions; groups of heads may share keys and values."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self._head = sizes.hidden // sizes.heads
        shared = sizes.key_value_heads * self._head
        self.q_proj = nn.Linear(sizes.hidden, sizes.hidden, bias_attr=False)
        self.k_proj = nn.Linear(sizes.hidden, shared, bias_attr=False)
        self.v_proj = nn.Linear(sizes.hidden, shared, bias_attr=False)
        self.o_proj = nn.Linear(sizes.hidden, sizes.hidden, bias_attr=False)

    def forward(self, values: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        """(batch, length, hidden) to the same."""
        query, key, value = (
            one.reshape([*one.shape[:2], -1, self._head])
            for one in (self.q_proj(values), self.k_proj(values), self.v_proj(values))
        )
        mixed = attention(turned(query, turns), turned(key, turns), value, causal=True)
        return self.o_proj(mixed.flatten(2))


class LlamaMlpPaddle(nn.Layer):
    """SwiGLU."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(sizes.hidden, sizes.intermediate, bias_attr=False)
        self.up_proj = nn.Linear(sizes.hidden, sizes.intermediate, bias_attr=False)
        self.down_proj = nn.Linear(sizes.intermediate, sizes.hidden, bias_attr=False)

    def forward(self, values: Tensor) -> Tensor:
        """(batch, length, hidden) to the same."""
        return self.down_proj(functional.silu(self.gate_proj(values)) * self.up_proj(values))


class LlamaLayerPaddle(nn.Layer):
    """Attention and feed-forward layers, each onto the residual stream."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.self_attn = LlamaAttentionPaddle(sizes)
        self.mlp = LlamaMlpPaddle(sizes)
        self.input_layernorm = RmsNormPaddle(sizes.hidden, sizes.norm_epsilon)
        self.post_attention_layernorm = RmsNormPaddle(sizes.hidden, sizes.norm_epsilon)

    def forward(self, values: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        """(batch, length, hidden) to the same."""
        values = values + self.self_attn(self.input_layernorm(values), turns)
        return values + self.mlp(self.post_attention_layernorm(values))


class LlamaStackPaddle(nn.Layer):
    """From ids to hidden states."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(sizes.padded_vocabulary, sizes.hidden)
        self.layers = nn.LayerList([LlamaLayerPaddle(sizes) for _ in range(sizes.layers)])
        self.norm = RmsNormPaddle(sizes.hidden, sizes.norm_epsilon)
        cosines, sines = turns_of(sizes.sequence_length, sizes.hidden // sizes.heads, sizes.rope_base)
        self.turns = (cosines, sines)

    def forward(self, input_ids: Tensor) -> Tensor:
        """(batch, length) to (batch, length, hidden)."""
        length = input_ids.shape[1]
        cosines, sines = (one[:, :length] for one in self.turns)
        values = self.embed_tokens(input_ids)
        for layer in self.layers:
            values = layer(values, (cosines, sines))
        return self.norm(values)


class LlamaNetworkPaddle(nn.Layer):
    """Ids (batch, length) to scores of every next token (batch, length, vocabulary)."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.model = LlamaStackPaddle(sizes)
        self.lm_head = nn.Linear(sizes.hidden, sizes.padded_vocabulary, bias_attr=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Scores, not normalised."""
        return self.lm_head(self.model(input_ids))


def turns_of(length: int, size: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of each place's rotations, float32 (1, length, 1, size).

    Args:
        length: places.
        size: of a head.
        base: of the geometric row of wave lengths.
    """
    rates = 1.0 / base ** (paddle.arange(0, size, 2, dtype="float32") / size)
    angles = paddle.outer(paddle.arange(length, dtype="float32"), rates)
    angles = paddle.concat([angles, angles], axis=-1).reshape([1, length, 1, size])
    return angles.cos(), angles.sin()


def turned(heads: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Heads (batch, length, heads, size) turned by their places: half of each head is the other half's partner."""
    first, second = heads.chunk(2, axis=-1)
    return heads * turns[0] + paddle.concat([-second, first], axis=-1) * turns[1]


class LlamaPaddle(DecoderPaddle):
    """`models.language.decoders.llama.Llama` in Paddle."""

    def build(self) -> LlamaNetworkPaddle:
        """The network."""
        return LlamaNetworkPaddle(self.original.sizes)

"""GPT-2 and GPT-3 in Paddle: transformers' network, its layers under transformers' names."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import paddle
from paddle import Tensor, nn
from paddle.nn import functional

from models.ports.paddle.attention import attention
from models.ports.paddle.tokens import DecoderPaddle


class GptAttentionPaddle(nn.Layer):
    """Causal attention; one product makes queries, keys and values."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self._head, self._dropout = sizes.hidden // sizes.heads, sizes.dropout
        self.c_attn = nn.Linear(sizes.hidden, 3 * sizes.hidden)
        self.c_proj = nn.Linear(sizes.hidden, sizes.hidden)
        self.resid_dropout = nn.Dropout(sizes.dropout)

    def own_random(self) -> AbstractContextManager[Any]:
        """Where the weights' dropout is drawn; ranks with heads of their own put their own numbers in its place."""
        return nullcontext()

    def forward(self, values: Tensor) -> Tensor:
        """(batch, length, hidden) to the same."""
        joined = self.c_attn(values)
        query, key, value = joined.reshape([*joined.shape[:2], 3, -1, self._head]).unbind(2)
        with self.own_random():
            mixed = attention(query, key, value, causal=True, dropout=self._dropout, training=self.training)
        return self.resid_dropout(self.c_proj(mixed.flatten(2)))


class GptMlpPaddle(nn.Layer):
    """GELU in its tanh form, transformers' `gelu_new`."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.c_fc = nn.Linear(sizes.hidden, sizes.intermediate)
        self.c_proj = nn.Linear(sizes.intermediate, sizes.hidden)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, values: Tensor) -> Tensor:
        """(batch, length, hidden) to the same."""
        return self.dropout(self.c_proj(functional.gelu(self.c_fc(values), approximate=True)))


class GptLayerPaddle(nn.Layer):
    """Attention and feed-forward layers, each behind a norm and onto the residual stream."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(sizes.hidden)
        self.attn = GptAttentionPaddle(sizes)
        self.ln_2 = nn.LayerNorm(sizes.hidden)
        self.mlp = GptMlpPaddle(sizes)

    def forward(self, values: Tensor) -> Tensor:
        """(batch, length, hidden) to the same."""
        values = values + self.attn(self.ln_1(values))
        return values + self.mlp(self.ln_2(values))


class GptStackPaddle(nn.Layer):
    """From ids to hidden states."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.wte = nn.Embedding(sizes.padded_vocabulary, sizes.hidden)
        self.wpe = nn.Embedding(sizes.positions or sizes.sequence_length, sizes.hidden)
        self.drop = nn.Dropout(sizes.dropout)
        self.h = nn.LayerList([GptLayerPaddle(sizes) for _ in range(sizes.layers)])
        self.ln_f = nn.LayerNorm(sizes.hidden)

    def embedded(self, input_ids: Tensor) -> Tensor:
        """(batch, length) to (batch, length, hidden): tokens and their places."""
        return self.drop(self.wte(input_ids) + self.wpe(paddle.arange(input_ids.shape[1])))

    def forward(self, input_ids: Tensor) -> Tensor:
        """(batch, length) to (batch, length, hidden)."""
        values = self.embedded(input_ids)
        for layer in self.h:
            values = layer(values)
        return self.ln_f(values)


class GptNetworkPaddle(nn.Layer):
    """Ids (batch, length) to scores of every next token (batch, length, vocabulary); the embedding is the head, too."""

    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.transformer = GptStackPaddle(sizes)

    def entering_head(self, values: Tensor) -> Tensor:
        """What the head multiplies; ranks that share the vocabulary put theirs in its place."""
        return values

    def head(self, values: Tensor) -> Tensor:
        """(batch, length, hidden) to scores."""
        return paddle.matmul(self.entering_head(values), self.transformer.wte.weight, transpose_y=True)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Scores, not normalised."""
        return self.head(self.transformer(input_ids))


class GptPaddle(DecoderPaddle):
    """`models.language.decoders.gpt3.Gpt3` in Paddle."""

    def build(self) -> GptNetworkPaddle:
        """The network."""
        return GptNetworkPaddle(self.original.sizes)

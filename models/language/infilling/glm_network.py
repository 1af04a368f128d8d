"""GLM (Du et al. 2021): one transformer that reads a text in both directions and writes what belongs in its blank.

The names of the parameters are those of the authors' program (THUDM/GLM), whose checkpoints so need no translation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from models.training import STRICT

INITIAL_STD = 0.02


@dataclass(kw_only=True, slots=True)
class GlmArchitecture:
    """Sizes of a GLM, norms before each block; the inner layer of its feed-forward blocks is 4 times as wide."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    layers: int
    hidden: int
    heads: int
    sequence_length: int
    dropout: float
    checkpoint_activations: bool
    """Keep the input of each layer alone and compute the rest again in the backward pass."""
    choices_per_pass: int
    """Candidates of a question that are evaluated together."""


class GlmAttention(nn.Module):
    """Self-attention under a mask."""

    def __init__(self, sizes: GlmArchitecture) -> None:
        super().__init__()
        self.heads, self.drop = sizes.heads, sizes.dropout
        self.query_key_value = nn.Linear(sizes.hidden, 3 * sizes.hidden)
        self.dense = nn.Linear(sizes.hidden, sizes.hidden)

    def forward(self, states: Tensor, visible: Tensor) -> Tensor:
        """States (batch, length, hidden) mixed where `visible` (batch, 1, length, length) is true."""
        parts = self.query_key_value(states).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        drop = self.drop if self.training else 0.0
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=visible, dropout_p=drop)
        output: Tensor = self.dense(mixed.transpose(1, 2).flatten(2))
        return output


class GlmMlp(nn.Module):
    """A wide layer, GELU by its tanh formula, and back."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(hidden, 4 * hidden)
        self.dense_4h_to_h = nn.Linear(4 * hidden, hidden)

    def forward(self, states: Tensor) -> Tensor:
        """States (…, hidden) to the same shape."""
        output: Tensor = self.dense_4h_to_h(gelu(self.dense_h_to_4h(states), approximate="tanh"))
        return output


class GlmLayer(nn.Module):
    """Attention and a feed-forward block, each on its normalised input and added to it."""

    def __init__(self, sizes: GlmArchitecture) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(sizes.hidden)
        self.attention = GlmAttention(sizes)
        self.post_attention_layernorm = nn.LayerNorm(sizes.hidden)
        self.mlp = GlmMlp(sizes.hidden)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, states: Tensor, visible: Tensor) -> Tensor:
        """Arguments as of `GlmAttention`."""
        states = states + self.dropout(self.attention(self.input_layernorm(states), visible))
        output: Tensor = states + self.dropout(self.mlp(self.post_attention_layernorm(states)))
        return output


class GlmTransformer(nn.Module):
    """Layers over words with two positions each: in the text, and within what is written into the blank."""

    def __init__(self, sizes: GlmArchitecture) -> None:
        super().__init__()
        self.checkpoint_activations = sizes.checkpoint_activations
        self.position_embeddings = nn.Embedding(sizes.sequence_length + 1, sizes.hidden)
        self.block_position_embeddings = nn.Embedding(sizes.sequence_length + 1, sizes.hidden)
        self.dropout = nn.Dropout(sizes.dropout)
        self.layers = nn.ModuleList(GlmLayer(sizes) for _ in range(sizes.layers))
        self.final_layernorm = nn.LayerNorm(sizes.hidden)

    def forward(self, words: Tensor, positions: Tensor, visible: Tensor) -> Tensor:
        """Word embeddings (batch, length, hidden) and int64 positions (batch, 2, length) to states."""
        placed = self.position_embeddings(positions[:, 0]) + self.block_position_embeddings(positions[:, 1])
        states = self.dropout(words + placed)
        for layer in self.layers:
            if self.checkpoint_activations and self.training:
                states = checkpoint(layer, states, visible, use_reentrant=False)
            else:
                states = layer(states, visible)
        normed: Tensor = self.final_layernorm(states)
        return normed


class GlmNetwork(nn.Module):
    """GLM with the words' table as its output layer."""

    def __init__(self, sizes: GlmArchitecture) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(sizes.vocabulary, sizes.hidden)
        self.transformer = GlmTransformer(sizes)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                ends_block = name.endswith(("attention.dense.weight", "dense_4h_to_h.weight"))
                nn.init.normal_(parameter, 0.0, INITIAL_STD / (math.sqrt(2 * sizes.layers) if ends_block else 1))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, text: Tensor, positions: Tensor, context: Tensor, places: Tensor) -> Tensor:
        """Scores of every word at some places of each text.

        The vocabulary-wide output layer sees those places alone; nothing else of its output is ever used.

        Args:
            text: int64 (batch, length): the context with its blank, then what is written into it.
            positions: int64 (batch, 2, length).
            context: int64 (batch,), how many of the inputs are context.
            places: int64 (batch, wanted).

        Returns:
            Tensor of shape (batch, wanted, vocabulary).
        """
        visible = blank_filling_mask(context, text.shape[1])
        states = self.transformer(self.word_embeddings(text), positions, visible)
        wanted = states.gather(1, places.unsqueeze(-1).expand(-1, -1, states.shape[-1]))
        return linear(wanted, self.word_embeddings.weight)


def blank_filling_mask(context: Tensor, length: int) -> Tensor:
    """What each place sees: all of the context, and what was written up to the place itself.

    Args:
        context: int64 (batch,), inputs that are context; they come first.
        length: inputs.

    Returns:
        bool (batch, 1, length, length), query by key.
    """
    place = torch.arange(length, device=context.device)
    return ((place <= place[:, None]) | (place < context[:, None, None])).unsqueeze(1)

"""Transformer-XL (Dai et al. 2019): attention by relative position over the segment and a memory of the one before.

As Hugging Face's TransfoXLLMHeadModel was until transformers 4.35, but for the beginning of a text: there its memory of
zeros took part in attention, here, as in the authors' own program, what was never read is not seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from models.language.memory.adaptive_words import AdaptiveWords, Cluster, clusters_of
from models.training import STRICT

INITIAL_STD, PROJECTION_STD = 0.02, 0.01
"""Standard deviations of initial weights, and of the projections of words."""


@dataclass(kw_only=True, slots=True)
class TransformerXlArchitecture:
    """Sizes of a Transformer-XL, norms after each block."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    cutoffs: tuple[int, ...]
    """Ids where a cluster of rarer words begins."""
    width_divisor: int
    """Each cluster's rows are so many times narrower than the one's before; 1 in the paper's 151M model."""
    layers: int
    hidden: int
    heads: int
    head_size: int
    intermediate: int
    sequence_length: int
    """Tokens of a segment."""
    memory_length: int
    """Tokens of the past whose states are kept; a token sees as many, itself included."""
    evaluation_segments: int
    """Segments of a passage of evaluation text; its memory begins empty."""
    dropout: float

    @property
    def clusters(self) -> list[Cluster]:
        """The vocabulary's parts, frequent words first."""
        return clusters_of(self.vocabulary, self.cutoffs, self.hidden, self.width_divisor)


class Memory(NamedTuple):
    """What each layer read before."""

    states: Tensor
    """(layers, batch, memory length, hidden), without gradient."""
    filled: int
    """How many of them, at the end, are of the text; the rest never was."""


class RelativeAttention(nn.Module):
    """Attention whose scores are content + position: (q + u) k + (q + v) r, r a projected sinusoid of the distance."""

    def __init__(self, sizes: TransformerXlArchitecture) -> None:
        super().__init__()
        inner = sizes.heads * sizes.head_size
        self.heads, self.head_size = sizes.heads, sizes.head_size
        self.query_key_value = nn.Linear(sizes.hidden, 3 * inner, bias=False)
        self.position = nn.Linear(sizes.hidden, inner, bias=False)
        self.output = nn.Linear(inner, sizes.hidden, bias=False)
        self.content_bias = nn.Parameter(torch.empty(sizes.heads, 1, sizes.head_size))
        self.position_bias = nn.Parameter(torch.empty(sizes.heads, 1, sizes.head_size))

    def forward(self, states: Tensor, memory: Tensor, distances: Tensor, visible: Tensor) -> Tensor:
        """Mix what each token sees.

        Args:
            states: the segment (batch, length, hidden).
            memory: what came before it (batch, memory length, hidden).
            distances: sinusoids (keys, hidden) of the distances keys - 1 … 0; keys = memory length + length.
            visible: bool (length, keys).
        """
        length = states.shape[1]
        mixed = self.query_key_value(torch.cat([memory, states], dim=1))
        query, key, value = (self._by_head(part) for part in mixed.chunk(3, dim=-1))
        query = query[:, :, -length:]
        position = self._by_head(self.position(distances)[None])
        bias = shifted((query + self.position_bias) @ position.transpose(-1, -2)) / math.sqrt(self.head_size)
        bias = bias.masked_fill(~visible, -math.inf)
        seen = scaled_dot_product_attention(query + self.content_bias, key, value, attn_mask=bias)
        output: Tensor = self.output(seen.transpose(1, 2).flatten(2))
        return output

    def _by_head(self, states: Tensor) -> Tensor:
        return states.view(*states.shape[:-1], self.heads, self.head_size).transpose(1, 2)


def shifted(scores: Tensor) -> Tensor:
    """Scores by distance, of each query alike, as scores by key: row i moves left by (length - 1 - i).

    Args:
        scores: (batch, heads, length, keys), column c for the distance keys - 1 - c. What moves in from the right is
            for keys after the query, which nobody sees.
    """
    *outer, length, keys = scores.shape
    return pad(scores, (1, 0)).view(*outer, keys + 1, length)[..., 1:, :].reshape(scores.shape)


class TransformerXlLayer(nn.Module):
    """Attention and a feed-forward block, each added to its input and then normalised."""

    def __init__(self, sizes: TransformerXlArchitecture) -> None:
        super().__init__()
        self.attention = RelativeAttention(sizes)
        self.attention_norm = nn.LayerNorm(sizes.hidden)
        self.wide = nn.Linear(sizes.hidden, sizes.intermediate)
        self.narrow = nn.Linear(sizes.intermediate, sizes.hidden)
        self.norm = nn.LayerNorm(sizes.hidden)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, states: Tensor, memory: Tensor, distances: Tensor, visible: Tensor) -> Tensor:
        """Arguments as of `RelativeAttention`."""
        attended = self.dropout(self.attention(states, memory, distances, visible))
        states = self.attention_norm(states + attended)
        inner = self.dropout(self.wide(states).relu())
        output: Tensor = self.norm(states + self.dropout(self.narrow(inner)))
        return output


class TransformerXlNetwork(nn.Module):
    """The whole network with its loss, which alone makes the adaptive softmax cheap."""

    def __init__(self, sizes: TransformerXlArchitecture) -> None:
        super().__init__()
        self.sizes = sizes
        self.words = AdaptiveWords(sizes.clusters, sizes.hidden)
        self.layers = nn.ModuleList(TransformerXlLayer(sizes) for _ in range(sizes.layers))
        self.dropout = nn.Dropout(sizes.dropout)
        for name, parameter in self.named_parameters():
            if "norm.weight" in name:
                nn.init.normal_(parameter, 1.0, INITIAL_STD)
            elif name.endswith(("content_bias", "position_bias")) or parameter.ndim > 1:
                nn.init.normal_(parameter, 0.0, PROJECTION_STD if "projection" in name else INITIAL_STD)
            else:
                nn.init.zeros_(parameter)

    def forward(
        self, input_ids: Tensor, targets: Tensor, tails: list[Tensor], memory: Memory | None = None
    ) -> tuple[Tensor, Memory]:
        """Read one segment of each row's text.

        Args:
            input_ids: int64 (batch, length).
            targets: int64 (batch, length), `IGNORED` where nothing is to be predicted.
            tails: `tail_places` of the targets.
            memory: of the segment before; None at the beginning of a text.

        Returns:
            Cross entropy of each target, float32 (batch, length), and the memory for the segment after.
        """
        states = self.dropout(self.words.embed(input_ids))
        memory = memory or self._empty(len(input_ids))
        length, keys = input_ids.shape[1], memory.states.shape[2] + input_ids.shape[1]
        distances = self.dropout(sinusoids(keys, self.sizes.hidden, like=states))
        visible = self._visible(length, keys, memory.filled, states.device)
        read = []
        for layer, before in zip(self.layers, memory.states, strict=True):
            read.append(states.detach().to(before.dtype))
            states = layer(states, before, distances, visible)
        losses = self.words.losses(self.dropout(states).flatten(0, 1), targets.flatten(), tails)
        kept = torch.cat([memory.states, torch.stack(read)], dim=2)[:, :, -self.sizes.memory_length :]
        return losses.view_as(targets), Memory(kept, min(memory.filled + length, self.sizes.memory_length))

    def _empty(self, rows: int) -> Memory:
        shape = (self.sizes.layers, rows, self.sizes.memory_length, self.sizes.hidden)
        return Memory(self.words.cluster_rows.new_zeros(shape), 0)

    def _visible(self, length: int, keys: int, filled: int, device: torch.device) -> Tensor:
        """Which keys each query sees: as many as the memory is long, none after it, none from before the text."""
        key = torch.arange(keys, device=device)
        distance = torch.arange(keys - length, keys, device=device)[:, None] - key
        return (distance >= 0) & (distance < self.sizes.memory_length) & (key >= keys - length - filled)


def sinusoids(keys: int, hidden: int, *, like: Tensor) -> Tensor:
    """Sines, then cosines, of the distances keys - 1 … 0: (keys, hidden), hidden being even."""
    frequencies = 10000 ** -(torch.arange(0, hidden, 2, device=like.device) / hidden)
    angles = torch.arange(keys - 1, -1, -1, device=like.device)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1).to(like.dtype)

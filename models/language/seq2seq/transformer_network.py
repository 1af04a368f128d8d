"""The Transformer (Vaswani et al., arXiv:1706.03762) as NVIDIA's copy of fairseq's `transformer_wmt_en_de_big_t2t`.

Normalisation stands before each part and once more after the last layer of both stacks; one table of embeddings serves
source, target and output; attention has no biases (NVIDIA's copy and FlagPerf's; fairseq's own has them).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from models.datasets.language.translation.dictionary import PAD
from models.recipe import STRICT


@dataclass(kw_only=True, slots=True)
class TransformerSizes:
    """Sizes of the network."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    """Entries of the joined dictionary, the four special ones included."""
    hidden: int
    intermediate: int
    heads: int
    layers: int
    """Of the encoder, and as many of the decoder."""
    positions: int
    """Ids of the longest sentence."""
    dropout: float
    attention_dropout: float
    activation_dropout: float
    """After the feed-forward part's ReLU."""


class KeyValues(NamedTuple):
    """What attention looks at, both (batch, heads, length, head size)."""

    keys: Tensor
    values: Tensor


class Attention(nn.Module):
    """Attention of several heads, without biases."""

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.heads, self.dropout = sizes.heads, sizes.attention_dropout
        self.query, self.key, self.value, self.output = (
            nn.Linear(sizes.hidden, sizes.hidden, bias=False) for _ in range(4)
        )
        for layer in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)

    def look_at(self, x: Tensor) -> KeyValues:
        """Keys and values of `x` (batch, length, hidden)."""
        return KeyValues(self._split(self.key(x)), self._split(self.value(x)))

    def forward(self, x: Tensor, seen: KeyValues, *, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """What `x` (batch, length, hidden) finds in `seen`; `mask` is true where it may look."""
        rate = self.dropout if self.training else 0.0
        query = self._split(self.query(x))
        found = scaled_dot_product_attention(query, *seen, attn_mask=mask, dropout_p=rate, is_causal=causal)
        mixed: Tensor = self.output(found.transpose(1, 2).flatten(2))
        return mixed

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Two linear layers with a ReLU between them, each place for itself."""

    def __init__(self, sizes: TransformerSizes) -> None:
        wide, narrow = nn.Linear(sizes.hidden, sizes.intermediate), nn.Linear(sizes.intermediate, sizes.hidden)
        for layer in (wide, narrow):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        super().__init__(wide, nn.ReLU(), nn.Dropout(sizes.activation_dropout), narrow)


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward part, each normalised before and added to what went in."""

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.attention, self.attention_norm = Attention(sizes), nn.LayerNorm(sizes.hidden)
        self.feed_forward, self.feed_forward_norm = FeedForward(sizes), nn.LayerNorm(sizes.hidden)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`x` (batch, length, hidden); `mask` (batch, 1, 1, length) is true at words."""
        normed = self.attention_norm(x)
        x = x + self.dropout(self.attention(normed, self.attention.look_at(normed), mask=mask))
        out: Tensor = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return out


class DecoderLayer(nn.Module):
    """As the encoder's, with attention to the source in between."""

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.attention, self.attention_norm = Attention(sizes), nn.LayerNorm(sizes.hidden)
        self.source_attention, self.source_attention_norm = Attention(sizes), nn.LayerNorm(sizes.hidden)
        self.feed_forward, self.feed_forward_norm = FeedForward(sizes), nn.LayerNorm(sizes.hidden)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(
        self, x: Tensor, source: KeyValues, mask: Tensor, past: KeyValues | None = None
    ) -> tuple[Tensor, KeyValues]:
        """`x` after this layer, and what its places are seen as.

        Args:
            x: (batch, length, hidden): a whole target; with `past` the one place that follows it.
            source: of `source_attention.look_at(encoded)`.
            mask: (batch, 1, 1, source length), true at words.
            past: what this layer returned for the places before; without it no place sees those after itself.
        """
        normed = self.attention_norm(x)
        seen = self.attention.look_at(normed)
        if past is not None:
            seen = KeyValues(*(torch.cat(parts, dim=2) for parts in zip(past, seen, strict=True)))
        x = x + self.dropout(self.attention(normed, seen, causal=past is None))
        x = x + self.dropout(self.source_attention(self.source_attention_norm(x), source, mask=mask))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x))), seen


class TransformerNetwork(nn.Module):
    """Scores of each next target word, from the source and the words before it."""

    places: Tensor

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.hidden, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=sizes.hidden**-0.5)
        with torch.no_grad():
            self.embedding.weight[PAD].zero_()
        self.scale = math.sqrt(sizes.hidden)
        self.register_buffer("places", sinusoids(PAD + 1 + sizes.positions, sizes.hidden), persistent=False)
        self.dropout = nn.Dropout(sizes.dropout)
        self.encoder = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.layers))
        self.encoder_norm = nn.LayerNorm(sizes.hidden)
        self.decoder = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.layers))
        self.decoder_norm = nn.LayerNorm(sizes.hidden)

    def forward(self, source: Tensor, previous: Tensor) -> Tensor:
        """Scores (batch, target length, vocabulary).

        Args:
            source: ids (batch, source length), padded with `PAD` anywhere.
            previous: ids (batch, target length): of each place the word before it; padded at the end.
        """
        encoded, mask = self.encode(source)
        x = self._embed(previous, _numbered(previous))
        for layer, seen in zip(self.decoder, self.look_at_source(encoded), strict=True):
            x, _ = layer(x, seen, mask)
        return self._scores(x)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The source (batch, length, hidden), and its mask (batch, 1, 1, length), true at words."""
        mask = (source != PAD)[:, None, None, :]
        x = self._embed(source, _numbered(source))
        for layer in self.encoder:
            x = layer(x, mask)
        return self.encoder_norm(x), mask

    def look_at_source(self, encoded: Tensor) -> list[KeyValues]:
        """The encoded source as each layer of the decoder sees it."""
        layers = (layer for layer in self.decoder if isinstance(layer, DecoderLayer))
        return [layer.source_attention.look_at(encoded) for layer in layers]

    def next_word(
        self, words: Tensor, place: int, source: list[KeyValues], mask: Tensor, past: list[KeyValues]
    ) -> tuple[Tensor, list[KeyValues]]:
        """Scores (batch, vocabulary) of the word after `words`, and what the layers have seen by then.

        Args:
            words: ids (batch,), at place `place` of their rows, the first at 0; never padding.
            place: how many words went before.
            source: of `look_at_source`.
            mask: of `encode`.
            past: what this returned for the word before; empty at the first.
        """
        x = self._embed(words[:, None], PAD + 1 + place)
        nothing = KeyValues(*(seen[:, :, :0] for seen in source[0]))
        seen = []
        for number, layer in enumerate(self.decoder):
            x, now = layer(x, source[number], mask, past[number] if past else nothing)
            seen.append(now)
        return self._scores(x)[:, 0], seen

    def _embed(self, words: Tensor, places: Tensor | int) -> Tensor:
        embedded: Tensor = self.dropout(self.scale * self.embedding(words) + self.places[places])
        return embedded

    def _scores(self, x: Tensor) -> Tensor:
        return linear(self.decoder_norm(x), self.embedding.weight)


def sinusoids(count: int, width: int) -> Tensor:
    """Place n in `width` numbers (count, width), as tensor2tensor has them: all sines, then all cosines.

    Wavelengths grow geometrically from 2 pi to 20000 pi. Place `PAD` is all zeros; words begin at `PAD` + 1.
    """
    half = width // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float32) * (-math.log(10000) / (half - 1)))
    angles = torch.arange(count, dtype=torch.float32)[:, None] * rates
    table = torch.cat([angles.sin(), angles.cos()], dim=1)
    table[PAD] = 0
    return table


def _numbered(words: Tensor) -> Tensor:
    """The place of each word in its row, counted from `PAD` + 1 without padding, which has place `PAD`."""
    real = (words != PAD).long()
    return real.cumsum(dim=1) * real + PAD

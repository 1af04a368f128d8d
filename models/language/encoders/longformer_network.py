"""Transformers' Longformer where every token attends to its window and none to all, without a look at the data.

The library asks the device before every forward pass whether any token attends globally: a wait inside the measured
window, and impossible on the meta device. Here the answer is known, and the same result is computed in blocks of half a
window, each with itself and its two neighbours as keys.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, pad
from transformers import LongformerConfig, LongformerForMaskedLM

GLOBAL = ("query_global", "key_global", "value_global")
"""Projections of globally attending tokens: parts of every Longformer, used by none here."""


class WindowAttention(nn.Module):
    """Attention of each token to half a window on either side, with the library's projections."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear

    def __init__(self, library: Any) -> None:
        """Take over.

        Args:
            library: transformers' `LongformerSelfAttention`; its parts keep their names.
        """
        super().__init__()
        for name, part in library.named_children():
            self.add_module(name, part.requires_grad_(requires_grad=name not in GLOBAL))
        self.heads, self.dropout = int(library.num_heads), float(library.dropout)
        self.reach = int(library.one_sided_attn_window_size)

    def forward(self, hidden: Tensor, *, attention_mask: Tensor, **_: Any) -> tuple[Tensor]:
        """Mix the values of each token's window.

        Args:
            hidden: (batch, length, hidden); the length is a multiple of half a window.
            attention_mask: bool (blocks, half window, 3 half windows), `seen_in_window`.
        """
        query, key, value = (self._blocks(part(hidden)) for part in (self.query, self.key, self.value))
        scores = query / math.sqrt(query.shape[-1]) @ _with_neighbours(key).transpose(-1, -2)
        scores = scores.masked_fill(~attention_mask, -math.inf)
        shares = scores.softmax(dim=-1, dtype=torch.float32).type_as(scores)
        mixed = dropout(shares, self.dropout, self.training) @ _with_neighbours(value)
        return (mixed.movedim(1, 3).reshape(hidden.shape),)

    def _blocks(self, projected: Tensor) -> Tensor:
        """(batch, length, hidden) as (batch, heads, blocks, half window, head size)."""
        batch, length, width = projected.shape
        blocks = projected.view(batch, length // self.reach, self.reach, self.heads, width // self.heads)
        by_heads: Tensor = blocks.movedim(3, 1)
        return by_heads


def _with_neighbours(blocks: Tensor) -> Tensor:
    """Each block between the one before and the one after it, zeros where there is none."""
    wide = pad(blocks, (0, 0, 0, 0, 1, 1))
    return torch.cat([wide[:, :, :-2], blocks, wide[:, :, 2:]], dim=3)


def seen_in_window(length: int, reach: int, device: torch.device) -> Tensor:
    """Which keys of its block and the two beside it a place sees: bool (blocks, reach, 3 reach)."""
    place = torch.arange(length, device=device).view(-1, reach, 1)
    key = torch.arange(3 * reach, device=device) + place[:, :1] - reach
    return ((key - place).abs() <= reach) & (key >= 0) & (key < length)


class LocalLongformer(LongformerForMaskedLM):  # type: ignore[misc]
    """The library's network with its parameters' names; full blocks of text in, scores out.

    What no gradient reaches is taken out of training: data parallelism would wait for it.
    """

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__(config)
        for layer in self.longformer.encoder.layer:
            layer.attention.self = WindowAttention(layer.attention.self)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Scores of every token.

        Args:
            input_ids: int64 (batch, length); the length is a multiple of the attention window, nothing is padding.

        Returns:
            (batch, length, vocabulary).
        """
        hidden = self.longformer.embeddings(input_ids=input_ids)
        for layer in self.longformer.encoder.layer:
            seen = seen_in_window(input_ids.shape[1], layer.attention.self.reach, input_ids.device)
            (hidden,) = layer(hidden, attention_mask=seen)
        scores: Tensor = self.lm_head(hidden)
        return scores

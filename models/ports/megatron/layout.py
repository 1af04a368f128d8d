"""Between the tensors of a transformers decoder and those of a megatron-core GPTModel, whole or one rank's part.

Megatron-core keeps queries, keys and values in one matrix, and the two halves of a gated feed-forward layer in another;
ranks of a tensor group each hold some rows or columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

HALVES = 2
"""Of a gated feed-forward layer: the gate, then what it lets through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """How queries, keys and values lie in one matrix: group by group its queries, its key, its value."""

    groups: int
    """Key-value heads."""
    queries: int
    """Heads that share one of them."""

    def fused(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """One matrix or bias of three."""
        rest = query.shape[1:]
        apart = [one.reshape(self.groups, -1, *rest) for one in (query, key, value)]
        return torch.cat(apart, dim=1).reshape(-1, *rest)

    def apart(self, fused: Tensor) -> list[Tensor]:
        """The three of one."""
        rest, size = fused.shape[1:], len(fused) // (self.groups * (self.queries + 2))
        parts = torch.split(fused.reshape(self.groups, -1, *rest), [self.queries * size, size, size], dim=1)
        return [one.reshape(-1, *rest) for one in parts]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeTensor:
    """A tensor of a whole GPTModel: what of the original it is made of, and how ranks share it."""

    sources: tuple[str, ...]
    """Names in the original: three for queries, keys and values, or one that holds all three; two where it is gated."""
    axis: int | None = None
    """The dimension that the ranks of a tensor group split; None: each has all of it."""
    transposed: bool = False
    """Whether the original's matrix is (input, output), as GPT-2's are."""
    heads: Heads | None = None
    gated: bool = False

    def made_of(self, state: Mapping[str, Tensor]) -> Tensor:
        """The tensor, from the original's."""
        found = [state[name].t() if self.transposed else state[name] for name in self.sources]
        if self.heads is not None:
            return self.heads.fused(*(found if len(found) > 1 else found[0].chunk(3)))
        return torch.cat(found) if self.gated else found[0]

    def apart(self, whole: Tensor) -> dict[str, Tensor]:
        """The original's tensors, by name."""
        parts = [whole]
        if self.heads is not None:
            parts = self.heads.apart(whole)
            parts = parts if len(self.sources) > 1 else [torch.cat(parts)]
        elif self.gated:
            parts = list(whole.chunk(HALVES))
        turned = [part.t() if self.transposed else part for part in parts]
        return {name: part.contiguous() for name, part in zip(self.sources, turned, strict=True)}

    def part(self, whole: Tensor, rank: int, ranks: int) -> Tensor:
        """What one rank of a tensor group holds."""
        if self.axis is None:
            return whole
        if self.gated:
            return torch.cat([half.chunk(ranks)[rank] for half in whole.chunk(HALVES)])
        return whole.chunk(ranks, dim=self.axis)[rank]

    def joined(self, parts: Sequence[Tensor]) -> Tensor:
        """The whole, from the parts of a tensor group in the order of its ranks."""
        if self.axis is None:
            return parts[0]
        if self.gated:
            halves = [part.chunk(HALVES) for part in parts]
            return torch.cat([half[place] for place in range(HALVES) for half in halves])
        return torch.cat(list(parts), dim=self.axis)

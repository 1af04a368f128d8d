"""Conformer's encoder: attention for what is far, convolution for what is near (Gulati et al., arXiv:2005.08100)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

FOLD = 4
"""Columns of the input, and rows, that become one."""


def sinusoids(length: int, width: int) -> Tensor:
    """Sines and cosines of each place (length, width), as Vaswani et al. 2017 have them."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def feed_forward(width: int, inner: int) -> nn.Sequential:
    """Two layers behind a normalisation."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, inner), nn.SiLU(), nn.Linear(inner, width))


class SelfAttention(nn.Module):
    """Every place attends to every one that is no padding."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.normalise = nn.LayerNorm(width)
        self.project, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, hidden: Tensor, seen: Tensor) -> Tensor:
        """(batch, length, width); `seen` is bool (batch, length)."""
        batch, length, width = hidden.shape
        parts = self.project(self.normalise(hidden)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None, :])
        output: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, length, width))
        return output


class Convolution(nn.Module):
    """A gate, a convolution over the places of each channel, and a mix of channels; padding stays out of it."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.normalise = nn.LayerNorm(width)
        self.gate = nn.Sequential(nn.Conv1d(width, 2 * width, 1), nn.GLU(dim=1))
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.pointwise = nn.Sequential(nn.BatchNorm1d(width), nn.SiLU(), nn.Conv1d(width, width, 1))

    def forward(self, hidden: Tensor, seen: Tensor) -> Tensor:
        """(batch, length, width); `seen` is bool (batch, length)."""
        gated = self.gate(self.normalise(hidden).transpose(1, 2)) * seen[:, None, :].to(hidden.dtype)
        mixed: Tensor = self.pointwise(self.depthwise(gated)).transpose(1, 2)
        return mixed


class ConformerBlock(nn.Module):
    """Half a feed-forward layer, attention, convolution, the other half."""

    def __init__(self, *, width: int, heads: int, inner: int, kernel: int) -> None:
        super().__init__()
        self.before, self.after = feed_forward(width, inner), feed_forward(width, inner)
        self.attention, self.convolution = SelfAttention(width, heads), Convolution(width, kernel)
        self.normalise = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, seen: Tensor) -> Tensor:
        """(batch, length, width); `seen` is bool (batch, length)."""
        hidden = hidden + 0.5 * self.before(hidden)
        hidden = hidden + self.attention(hidden, seen)
        hidden = hidden + self.convolution(hidden, seen)
        result: Tensor = self.normalise(hidden + 0.5 * self.after(hidden))
        return result


class ConformerEncoder(nn.Module):
    """Features with channels to a memory of a quarter of the columns."""

    places: Tensor

    def __init__(
        self, *, channels: int, height: int, length: int, width: int, layers: int, heads: int, inner: int, kernel: int
    ) -> None:
        """Build.

        Args:
            channels: of the input.
            height: its rows, a multiple of 4.
            length: its columns, a multiple of 4.
            width: of the memory.
            layers: blocks.
            heads: of attention.
            inner: width of the feed-forward layers.
            kernel: places of the convolution, odd.
        """
        super().__init__()
        self.fold = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.enter = nn.Linear(width * (height // FOLD), width)
        self.register_buffer("places", sinusoids(length // FOLD, width), persistent=False)
        blocks = [ConformerBlock(width=width, heads=heads, inner=inner, kernel=kernel) for _ in range(layers)]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, source: Tensor, padding: Tensor) -> Tensor:
        """The memory (batch, length / 4, width).

        Args:
            source: (batch, channels, height, length), floating-point.
            padding: bool (batch, length / 4), true where a place of the memory is to be left out.
        """
        folded = self.fold(source)
        hidden = self.enter(folded.permute(0, 3, 1, 2).flatten(2)) + self.places
        seen = ~padding
        for block in self.blocks:
            hidden = block(hidden, seen)
        memory: Tensor = hidden
        return memory

"""wav2vec 2.0's quantiser: a product of codebooks, whose entries are chosen by a Gumbel softmax that grows sharper."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)

TINY = 1e-7
"""Keeps the logarithm of a share of 0 finite; fairseq's."""


class Quantised(NamedTuple):
    """The codebooks' entries that stand for features."""

    vectors: Tensor
    """(B, M, W)."""
    codes: Tensor
    """(B, M) int64: equal where the vectors are."""
    unused: Tensor
    """Scalar, float32: share of all codes that are not made use of; 0 when the mean softmax is even."""


class Quantiser(nn.Module):
    """Features (B, M, C) to entries of `codebooks` codebooks with `codes` entries each, laid side by side.

    The temperature falls from one optimizer step to the next: 2 x 0.999995^n in the published case, at step n = 1, 2 …
    The number of training passes is a buffer, so it is saved with the weights and known on the device without asking;
    `passes_per_update` of them make a step.
    """

    passes: Tensor

    def __init__(
        self,
        channels: int,
        *,
        codebooks: int,
        codes: int,
        width: int,
        temperature: tuple[float, float, float],
        passes_per_update: int = 1,
    ) -> None:
        super().__init__()
        self.codebooks, self.codes, self.passes_per_update = codebooks, codes, passes_per_update
        self.first, self.last, self.factor = temperature
        self.entries = nn.Parameter(torch.rand(codebooks, codes, width // codebooks))
        self.scores = nn.Linear(channels, codebooks * codes)
        nn.init.normal_(self.scores.weight)
        nn.init.zeros_(self.scores.bias)
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))

    def temperature(self) -> Tensor:
        """That of the optimizer step which the next training pass belongs to."""
        update = torch.div(self.passes, self.passes_per_update, rounding_mode="floor") + 1
        return (self.first * torch.exp(update.float() * math.log(self.factor))).clamp(min=self.last)

    def forward(self, features: Tensor) -> Quantised:
        """Choose: at random in training, the likeliest in evaluation."""
        scores = self.scores(features).float().unflatten(2, (self.codebooks, self.codes))
        if self.training:
            temperature: Any = self.temperature()
            choice = F.gumbel_softmax(scores, tau=temperature, hard=True)
            self.passes += 1
        else:
            choice = torch.zeros_like(scores).scatter(3, scores.argmax(3, keepdim=True), 1.0)
        places = choice.argmax(3)
        vectors = torch.einsum("bmgv,gvw->bmgw", choice.to(self.entries.dtype), self.entries).flatten(2)
        codes = torch.stack([places[:, :, book] * self.codes**book for book in range(self.codebooks)]).sum(0)
        shares = scores.softmax(3).mean((0, 1))
        perplexity = (-(shares * (shares + TINY).log()).sum(1)).exp().sum()
        return Quantised(vectors, codes, 1 - perplexity / (self.codebooks * self.codes))

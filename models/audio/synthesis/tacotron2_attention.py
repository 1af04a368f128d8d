"""Location-sensitive attention (Chorowski et al. 2015, arXiv 1506.07503), as Tacotron 2 uses it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Gain = Literal["linear", "relu", "tanh", "sigmoid"]


def linear(inputs: int, outputs: int, gain: Gain, *, bias: bool = False) -> nn.Linear:
    """A linear layer with Glorot weights, scaled for the nonlinearity that follows."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight, gain=nn.init.calculate_gain(gain))
    return layer


class EncodedText(NamedTuple):
    """What the decoder may look at."""

    values: Tensor
    """(B, S, E) the encoded text."""
    keys: Tensor
    """(B, S, A) the text's part of the energies: the same at every step, so computed once."""
    padded: Tensor
    """(B, S) true where there is no text."""


class LocationSensitiveAttention(nn.Module):
    """Additive attention that also sees where it looked before, so that it moves on through the text."""

    def __init__(self, *, query: int, memory: int, width: int, filters: int, kernel_size: int) -> None:
        super().__init__()
        self.query = linear(query, width, "tanh")
        self.memory = linear(memory, width, "tanh")
        self.location_filters = nn.Conv1d(2, filters, kernel_size, padding=kernel_size // 2, bias=False)
        self.location = linear(filters, width, "tanh")
        self.energy = linear(width, 1, "linear")

    def remember(self, values: Tensor, padded: Tensor) -> EncodedText:
        """Prepare an encoded text (B, S, E), padded where (B, S) says so, to be looked at."""
        return EncodedText(values, self.memory(values), padded)

    def forward(
        self, query: Tensor, memory: EncodedText, previous: Tensor, cumulative: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Look at the text once.

        Args:
            query: (B, Q) state of the attention LSTM.
            memory: the text, from `remember`.
            previous: (B, S) weights of the step before.
            cumulative: (B, S) sum of the weights of all steps before.

        Returns:
            Context (B, E), and weights (B, S) in float32: their sum over hundreds of steps needs it.
        """
        looked = torch.stack([previous, cumulative], 1).to(self.location_filters.weight.dtype)
        location = self.location(self.location_filters(looked).transpose(1, 2))
        energy = self.energy(torch.tanh(self.query(query).unsqueeze(1) + memory.keys + location)).squeeze(2)
        weights = torch.softmax(energy.masked_fill(memory.padded, float("-inf")), 1, dtype=torch.float32)
        context = torch.bmm(weights.to(memory.values.dtype).unsqueeze(1), memory.values).squeeze(1)
        return context, weights

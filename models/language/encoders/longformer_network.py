"""Transformers' Longformer where every token attends to its window and none to all, without a look at the data.

The library asks the device before every forward pass whether any token attends globally: a wait inside the measured
window, and impossible on the meta device. Here the answer is known, and the library's own layers are told.
"""

from __future__ import annotations

from torch import Tensor
from transformers import LongformerConfig, LongformerForMaskedLM

GLOBAL = ("query_global", "key_global", "value_global")
"""Projections of globally attending tokens: parts of every Longformer, used by none here."""


class LocalLongformer(LongformerForMaskedLM):  # type: ignore[misc]
    """The library's network with its parameters' names; full blocks in, scores out."""

    def __init__(self, config: LongformerConfig) -> None:
        """Build, and take what no gradient reaches out of training, so that data parallelism does not wait for it."""
        super().__init__(config)
        for layer in self.longformer.encoder.layer:
            for name in GLOBAL:
                getattr(layer.attention.self, name).requires_grad_(requires_grad=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Scores of every token.

        Args:
            input_ids: int64 (batch, length); the length is a multiple of the attention window, nothing is padding.

        Returns:
            (batch, length, vocabulary).
        """
        hidden = self.longformer.embeddings(input_ids=input_ids)
        local = hidden.new_zeros(input_ids.shape)
        nowhere = local.bool()
        for layer in self.longformer.encoder.layer:
            (hidden,) = layer(
                hidden,
                attention_mask=local,
                is_index_masked=nowhere,
                is_index_global_attn=nowhere,
                is_global_attn=False,
            )
        scores: Tensor = self.lm_head(hidden)
        return scores

"""Longformer on masked tokens: attention within a window that slides over the text (Beltagy et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from models.datasets.base import Batch, Datasets
from models.datasets.language.masked.longformer_blocks import LAYOUT, longformer_datasets
from models.datasets.language.masked.masking import Masking
from models.datasets.language.tokens import enwik8
from models.datasets.language.tokens.enwik8 import enwik8_bytes
from models.language.encoders.masked_language_model import EncoderSizes, MaskedLanguageModel


@dataclass(kw_only=True, slots=True)
class LongformerArchitecture(EncoderSizes):
    """Sizes of a Longformer."""

    attention_window: int
    """Tokens that a token attends to, half of them on either side; even, and the sequence a multiple of it."""
    positions: int
    """Rows of the table of positions that tokens can have."""
    padding_id: int
    """Token whose embedding is never trained; positions are numbered from the id after it."""

    def __post_init__(self) -> None:
        if self.attention_window % 2 or self.sequence_length % self.attention_window:
            raise ValueError(
                f"sequence_length={self.sequence_length} must be a multiple of attention_window="
                f"{self.attention_window}, an even number"
            )


class Longformer(MaskedLanguageModel):
    """Longformer with the training case of FlagPerf's `longformer`; no token attends globally."""

    architecture = LongformerArchitecture
    anew = True

    @property
    def layout(self) -> str:  # type: ignore[override]
        """That of the data set the recipe names."""
        return enwik8.LAYOUT if self.recipe.dataset == "enwik8" else LAYOUT

    def build(self) -> nn.Module:
        """Transformers' Longformer, told that attention is local."""
        from transformers import LongformerConfig

        from models.language.encoders.longformer_network import LocalLongformer

        sizes = self.sizes
        config = LongformerConfig(
            vocab_size=sizes.vocabulary,
            hidden_size=sizes.hidden,
            num_hidden_layers=sizes.layers,
            num_attention_heads=sizes.heads,
            intermediate_size=sizes.intermediate,
            attention_window=[sizes.attention_window] * sizes.layers,
            max_position_embeddings=sizes.positions + sizes.padding_id + 1,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            pad_token_id=sizes.padding_id,
            hidden_dropout_prob=sizes.dropout,
            attention_probs_dropout_prob=sizes.dropout,
        )
        return LocalLongformer(config)

    def logits(self, batch: Batch) -> Tensor:
        """Scores of every token."""
        scores: Tensor = self.network(batch["input_ids"])
        return scores

    def real_datasets(self, root: Path, masking: Masking) -> Datasets:
        """FlagPerf's packed WikiText-2; with `model.dataset=enwik8` bytes, of which the valid part is evaluated on."""
        source = self.recipe.data_source
        if self.recipe.dataset == "enwik8":
            train, valid = (enwik8_bytes(root, part, source=source) for part in ("train", "valid"))
            return self.flat_datasets(train, valid, masking)
        return longformer_datasets(root, masking, length=self.sizes.sequence_length, source=source)

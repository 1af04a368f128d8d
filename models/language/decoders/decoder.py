"""What decoders that are trained on the next token share: sizes, and how they are run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from models.datasets.base import Batch
from models.language.token_model import TokenModel
from models.training import STRICT


@dataclass(kw_only=True, slots=True)
class DecoderSizes:
    """Sizes that every decoder has; a model adds its own."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    """Entries the tokenizer has."""
    layers: int
    hidden: int
    heads: int
    intermediate: int
    sequence_length: int
    vocabulary_multiple: int = 1
    """The embedding is padded to a multiple of this, as Megatron does for its kernels."""

    @property
    def padded_vocabulary(self) -> int:
        """Rows of the embedding."""
        return -(-self.vocabulary // self.vocabulary_multiple) * self.vocabulary_multiple


class Decoder(TokenModel):
    """A decoder in the form of transformers: `network(input_ids=…, use_cache=False).logits`.

    A subclass names its `architecture`, builds its network, and says how it is evaluated and on which data.
    """

    architecture: ClassVar[type[DecoderSizes]]
    """The typed form of the recipe's `architecture`."""

    def logits(self, batch: Batch) -> Tensor:
        """Scores of every next token (batch, length, vocabulary)."""
        scores: Tensor = self.network(input_ids=batch["input_ids"], use_cache=False).logits
        return scores

"""What decoders that are trained on the next token share: sizes, loss, batches, counts."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import TypeAdapter
from torch import Tensor, nn

from models.datasets.base import Batch, Counts
from models.datasets.language.tokens.next_token import count_sequences, next_token_batch, random_next_token_batch
from models.language.loss import token_loss
from models.recipe import Recipe
from models.trainable import Trainable
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


class Decoder(Trainable):
    """A decoder in the form of transformers: `network(input_ids=…, use_cache=False).logits`.

    A subclass names its `architecture`, builds its network, and says how it is evaluated and on which data.
    """

    architecture: ClassVar[type[DecoderSizes]]
    """The typed form of the recipe's `architecture`."""

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes: Any = TypeAdapter(self.architecture).validate_python(recipe.architecture)
        self.network = self.build()

    @abstractmethod
    def build(self) -> nn.Module:
        """The network of `self.sizes`, with random weights."""

    def logits(self, batch: Batch) -> Tensor:
        """Scores of every next token (batch, length, vocabulary)."""
        scores: Tensor = self.network(input_ids=batch["input_ids"], use_cache=False).logits
        return scores

    def loss(self, batch: Batch) -> Tensor:
        """Mean next-token cross entropy."""
        return token_loss(self.logits(batch), batch["targets"])

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of sequences."""
        return next_token_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random ids of the tokenizer's vocabulary."""
        return random_next_token_batch(batch_size, self.sizes.sequence_length, self.sizes.vocabulary)

    def count(self, batch: Batch) -> Counts:
        """Sequences and tokens."""
        return count_sequences(batch)

"""What models share whose batches are full sequences of ids with a target at each place."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from pydantic import TypeAdapter
from torch import Tensor, nn

from models.datasets.base import Batch, Counts
from models.datasets.language.tokens.next_token import count_sequences, next_token_batch, random_next_token_batch
from models.language.loss import token_loss
from models.recipe import Recipe
from models.trainable import Trainable


class TokenModel(Trainable):
    """A network that scores the vocabulary at every place of a sequence; the targets say what is asked there.

    A subclass names its `architecture`, builds its network, and says how it is run, evaluated and on which data.
    """

    architecture: ClassVar[type[Any]]
    """The typed form of the recipe's `architecture`, with `vocabulary` and `sequence_length`."""

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

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """Scores of every token at every place (batch, length, vocabulary)."""

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross entropy over the places that have a target."""
        return token_loss(self.logits(batch), batch["targets"])

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of sequences: int64 `input_ids` and `targets` (batch, length), `samples`, `tokens`."""
        return next_token_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random ids of the tokenizer's vocabulary, a target at every place."""
        return random_next_token_batch(batch_size, self.sizes.sequence_length, self.sizes.vocabulary)

    def count(self, batch: Batch) -> Counts:
        """Sequences and tokens."""
        return count_sequences(batch)

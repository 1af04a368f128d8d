"""What encoders that find hidden tokens share: sizes, loss, accuracy, batches, counts, sample data."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter
from torch import Tensor, nn

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.language.masked.masked_words import MASK
from models.datasets.language.masked.masking import FlatBlocks, MaskedBlocks, Masking
from models.datasets.language.samples.text_sample import text_sample
from models.datasets.language.tokens.next_token import (
    IGNORED,
    count_sequences,
    next_token_batch,
    random_next_token_batch,
)
from models.datasets.language.tokens.token_stream import TokenFile
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.language.loss import token_loss
from models.metrics import Share
from models.recipe import STRICT, Recipe
from models.trainable import Trainable

SPECIAL = tuple(range(MASK + 1))
"""Ids of the sample's special tokens."""


@dataclass(kw_only=True, slots=True)
class EncoderSizes:
    """Sizes that every such encoder has; a model adds its own."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    layers: int
    hidden: int
    heads: int
    intermediate: int
    sequence_length: int
    dropout: float
    masked_share: float
    """Probability with which a token is hidden."""
    mask_id: int
    """What stands in place of a hidden token."""
    mixed: bool
    """Whether some of the hidden tokens show another token, or themselves; see `Masking`."""


class MaskedLanguageModel(Trainable):
    """An encoder that names hidden tokens, judged by how many it finds.

    The vocabulary-wide output layer runs at every place, hidden or not, as in the published cases. A subclass names its
    `architecture`, builds its network, and says how it is run and on which data.
    """

    architecture: ClassVar[type[EncoderSizes]]
    """The typed form of the recipe's `architecture`."""
    layout: ClassVar[str]
    """What `data.root` must hold."""
    anew: ClassVar[bool]
    """Whether every pass of training hides other tokens."""

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes: Any = TypeAdapter(self.architecture).validate_python(recipe.architecture)
        self.network = self.build()
        self.metrics = {"mlm_accuracy": Share()}

    @abstractmethod
    def build(self) -> nn.Module:
        """The network of `self.sizes`, with random weights."""

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """Scores of every token at every place (batch, length, vocabulary)."""

    @abstractmethod
    def real_datasets(self, root: Path, masking: Masking) -> Datasets:
        """The real data set under `root`."""

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross entropy over the hidden tokens."""
        return token_loss(self.logits(batch), batch["targets"])

    def evaluate(self, batch: Batch) -> None:
        """Share of the hidden tokens that got the highest score."""
        targets = batch["targets"]
        self.metrics["mlm_accuracy"].update(self.logits(batch).argmax(dim=-1) == targets, targets != IGNORED)

    def datasets(self, spec: DataSpec) -> Datasets:
        """The real data set, or word pieces of the standard library."""
        sizes = self.sizes
        masking = Masking(
            share=sizes.masked_share, mask_id=sizes.mask_id, vocabulary=sizes.vocabulary, mixed=sizes.mixed
        )
        if spec.name == "dataset":
            return self.real_datasets(dataset_root(spec, expected=self.layout, source=self.recipe.data_source), masking)
        sample = text_sample(spec.cache_path, "wordpiece", sizes.vocabulary)
        return self.flat_datasets(sample.train, sample.evaluation, masking, special=SPECIAL)

    def flat_datasets(
        self, train: TokenFile, evaluation: TokenFile, masking: Masking, *, special: tuple[int, ...] = ()
    ) -> Datasets:
        """Blocks of two token files; those of evaluation always hide the same tokens."""
        options: dict[str, Any] = {
            "length": self.sizes.sequence_length,
            "vocabulary": masking.vocabulary,
            "special": special,
        }
        return Datasets(
            MaskedBlocks(FlatBlocks(train, **options), masking, anew=self.anew),
            MaskedBlocks(FlatBlocks(evaluation, **options), masking, anew=False),
        )

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of blocks: int64 `input_ids` and `targets` (batch, length), `samples`, `tokens`."""
        return next_token_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random ids of the vocabulary; unlike a real batch, every place has a target."""
        return random_next_token_batch(batch_size, self.sizes.sequence_length, self.sizes.vocabulary)

    def count(self, batch: Batch) -> Counts:
        """Sequences and tokens."""
        return count_sequences(batch)

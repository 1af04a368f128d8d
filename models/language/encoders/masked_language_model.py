"""What encoders that find hidden tokens share: sizes, accuracy, sample data."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.utils.data import Dataset

from models.datasets.base import Batch, Datasets
from models.datasets.language.masked.masked_words import MASK
from models.datasets.language.masked.masking import FlatBlocks, MaskedBlocks, Masking
from models.datasets.language.samples.text_sample import text_sample
from models.datasets.language.tokens.next_token import IGNORED, TokenExample
from models.datasets.language.tokens.token_stream import TokenFile
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.inferable import Inferable, Tensors
from models.language.token_model import TokenModel
from models.metrics import Share
from models.recipe import STRICT, Recipe

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


class WordScores(nn.Module):
    """Transformers' network as plain tensors: ids (batch, length) to scores (batch, length, vocabulary)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor) -> Tensors:
        """Scores of every token; without a mask, for blocks are full."""
        return (self.network(input_ids=input_ids).logits,)


class MaskedLanguageModel(TokenModel, Inferable):
    """An encoder that names hidden tokens, judged by how many it finds.

    The vocabulary-wide output layer runs at every place, hidden or not, as in the published cases. A subclass names its
    `architecture`, builds its network, and says how it is run and on which data.
    """

    input_names = ("input_ids",)
    output_names = ("scores",)
    architecture: ClassVar[type[EncoderSizes]]
    """The typed form of the recipe's `architecture`."""
    layout: ClassVar[str]
    """What `data.root` must hold."""
    anew: ClassVar[bool]
    """Whether every pass of training hides other tokens."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.metrics = {"mlm_accuracy": Share()}

    @abstractmethod
    def real_datasets(self, root: Path, masking: Masking) -> Datasets:
        """The real data set under `root`."""

    def evaluate(self, batch: Batch) -> None:
        """Share of the hidden tokens that got the highest score."""
        self.score((self.logits(batch),), batch)

    def served(self) -> nn.Module:
        """Scores of every token at every place."""
        return WordScores(self.network)

    def inputs(self, batch: Batch) -> Tensors:
        """The ids."""
        return (batch["input_ids"],)

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """As in training's evaluation."""
        (scores,), targets = outputs, batch["targets"]
        self.metrics["mlm_accuracy"].update(scores.argmax(dim=-1) == targets, targets != IGNORED)

    def evaluation_data(self, spec: DataSpec) -> Dataset[TokenExample]:
        """The blocks that training evaluates on."""
        return self.datasets(spec).evaluation

    def calibration_data(self, spec: DataSpec) -> Dataset[TokenExample] | None:
        """The sample's blocks to train on; a real data set's are not asked for."""
        return None if spec.name == "dataset" else self.datasets(spec).train

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

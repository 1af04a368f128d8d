"""DistilBERT that tells sentences of two classes apart (Sanh et al. 2019), fine-tuned on SST-2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.language.tasks.comment_or_code import comment_or_code
from models.datasets.language.tasks.labelled_text import LabelledText, labelled_batch, random_labelled_batch
from models.datasets.language.tasks.sst2 import CLASSES, LAYOUT, ReviewSentences, part_of, sst2_datasets
from models.datasets.language.tokens.next_token import count_sequences
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.inferable import Inferable, Tensors
from models.metrics import Share
from models.recipe import STRICT, Recipe
from models.trainable import Trainable
from models.weights import InitialWeights

UNUSED = ("vocab_", "distilbert.embeddings.position_ids")
"""Beginnings of what the pre-trained checkpoint has besides: its head of masked words."""


@dataclass(kw_only=True, slots=True)
class DistilBertArchitecture:
    """Sizes of a DistilBERT; `sequence_length` is what sentences are padded to, and the number of positions."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    layers: int
    hidden: int
    heads: int
    intermediate: int
    sequence_length: int
    dropout: float
    classifier_dropout: float


class ClassScores(nn.Module):
    """Transformers' network as plain tensors: ids and mask (batch, length) to scores (batch, classes)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attended: Tensor) -> Tensors:
        """Scores of the classes.

        The mask goes in with four dimensions: transformers looks into a smaller one on the device.
        """
        return (self.network(input_ids=input_ids, attention_mask=attended[:, None, None, :]).logits,)


class DistilBertClassifier(Trainable, Inferable):
    """DistilBERT with the training case of FlagPerf's `distilbert`."""

    input_names = ("input_ids", "attended")
    output_names = ("scores",)

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(DistilBertArchitecture).validate_python(recipe.architecture)
        self.network = self._build()
        self.metrics = {"accuracy": Share()}

    def _build(self) -> nn.Module:
        from transformers import DistilBertConfig, DistilBertForSequenceClassification

        sizes = self.sizes
        config = DistilBertConfig(
            vocab_size=sizes.vocabulary,
            dim=sizes.hidden,
            n_layers=sizes.layers,
            n_heads=sizes.heads,
            hidden_dim=sizes.intermediate,
            max_position_embeddings=sizes.sequence_length,
            dropout=sizes.dropout,
            attention_dropout=sizes.dropout,
            seq_classif_dropout=sizes.classifier_dropout,
            num_labels=CLASSES,
            attn_implementation="sdpa",
        )
        network: nn.Module = DistilBertForSequenceClassification(config)
        return network

    def logits(self, batch: Batch) -> Tensor:
        """Scores of the classes (batch, 2)."""
        scores: Tensor = self.served()(*self.inputs(batch))[0]
        return scores

    def served(self) -> nn.Module:
        """Scores of the classes."""
        return ClassScores(self.network)

    def inputs(self, batch: Batch) -> Tensors:
        """Ids and mask."""
        return batch["input_ids"], batch["attended"]

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross entropy, in float32 whatever the precision of the network."""
        return cross_entropy(self.logits(batch).float(), batch["labels"])

    def evaluate(self, batch: Batch) -> None:
        """Share of the sentences whose class got the higher score."""
        self.score((self.logits(batch),), batch)

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """As in training's evaluation."""
        self.metrics["accuracy"].update(outputs[0].argmax(dim=-1) == batch["labels"])

    def evaluation_data(self, spec: DataSpec) -> Dataset[LabelledText]:
        """The held-out sentences; those to train on need not be there."""
        return self._sentences(spec, "eval") if spec.name == "dataset" else self.datasets(spec).evaluation

    def calibration_data(self, spec: DataSpec) -> Dataset[LabelledText] | None:
        """Sentences to train on, where they are there."""
        if spec.name != "dataset":
            return self.datasets(spec).train
        there = part_of(dataset_root(spec, expected=LAYOUT, source=self.recipe.data_source), "train").is_file()
        return self._sentences(spec, "train") if there else None

    def _sentences(self, spec: DataSpec, part: str) -> ReviewSentences:
        sizes, source = self.sizes, self.recipe.data_source
        path = part_of(dataset_root(spec, expected=LAYOUT, source=source), part)
        return ReviewSentences(path, length=sizes.sequence_length, vocabulary=sizes.vocabulary, source=source)

    def datasets(self, spec: DataSpec) -> Datasets:
        """SST-2 under `spec.root`, or snippets of the standard library: comment or code?"""
        length, vocabulary, source = self.sizes.sequence_length, self.sizes.vocabulary, self.recipe.data_source
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=source)
            return sst2_datasets(root, length=length, vocabulary=vocabulary, source=source)
        return comment_or_code(spec.cache_path, length=length, vocabulary=vocabulary)

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of padded sentences."""
        return labelled_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random ids; every sentence has its full length."""
        sizes = self.sizes
        return random_labelled_batch(batch_size, sizes.sequence_length, vocabulary=sizes.vocabulary, classes=CLASSES)

    def count(self, batch: Batch) -> Counts:
        """Sentences and real tokens."""
        return count_sequences(batch)

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """distilbert-base-uncased as Hugging Face hosts it; the head of classes stays random."""
        tensors = {name: tensor for name, tensor in weights.items() if not name.startswith(UNUSED)}
        return InitialWeights(tensors, may_lack=("pre_classifier.*", "classifier.*"))

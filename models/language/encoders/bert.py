"""BERT pre-training: masked words and next sentence, judged by the share of masked words it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.language.masked.masked_words import (
    MaskedExample,
    MaskedWords,
    masked_batch,
    random_masked_batch,
)
from models.datasets.language.masked.mlperf_bert import LAYOUT, mlperf_datasets, mlperf_part
from models.datasets.language.samples.text_sample import text_sample
from models.datasets.language.tokens.next_token import IGNORED, count_sequences
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.inferable import Inferable, Tensors
from models.language.encoders.masked_language_model import EncoderSizes
from models.language.loss import token_loss
from models.metrics import Share
from models.recipe import STRICT, Recipe
from models.sharding.plan import TensorPlan
from models.trainable import Trainable


@dataclass(kw_only=True, slots=True)
class BertArchitecture:
    """Sizes of a BERT encoder (Devlin et al. 2018) and of its pre-training examples."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    layers: int
    hidden: int
    heads: int
    intermediate: int
    sequence_length: int
    predictions: int
    """Masked words per sequence at most; the rest of the sequence never reaches the vocabulary-wide output layer."""
    dropout: float


def bert_config(sizes: BertArchitecture | EncoderSizes) -> Any:
    """Transformers' configuration of a BERT of these sizes (`transformers.BertConfig`)."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.intermediate,
        max_position_embeddings=sizes.sequence_length,
        hidden_dropout_prob=sizes.dropout,
        attention_probs_dropout_prob=sizes.dropout,
        attn_implementation="sdpa",
    )


def bert_tensor_plan(sizes: BertArchitecture | EncoderSizes, *, at: str = "") -> TensorPlan:
    """Attention by heads, feed-forward units by their width, word embedding and head by the hidden size.

    By the vocabulary they could not be split: its 30,522 words are 2 x 3 x 5087.

    Args:
        sizes: of the encoder.
        at: what precedes the names of transformers' BERT in the network.
    """
    layer = f"{at}bert.encoder.layer.*."
    return TensorPlan(
        splits={
            f"{at}bert.embeddings.word_embeddings": "columns_gathered",
            f"{layer}attention.self.query": "columns",
            f"{layer}attention.self.key": "columns",
            f"{layer}attention.self.value": "columns",
            f"{layer}intermediate.dense": "columns",
            f"{layer}output.dense": "rows",  # attention's as well
            f"{at}cls.predictions.decoder": "rows_of_whole",
        },
        divides={
            "heads": sizes.heads,
            "units of the feed-forward layers": sizes.intermediate,
            "hidden units": sizes.hidden,
        },
    )


class MaskedWordsAndNextSentence(nn.Module):
    """The encoder with its two heads; words are predicted at the masked places alone, as MLPerf's BERT does."""

    def __init__(self, sizes: BertArchitecture) -> None:
        super().__init__()
        from transformers import BertForPreTraining

        self.bert = BertForPreTraining(bert_config(sizes))

    def forward(
        self, input_ids: Tensor, segment_ids: Tensor, attended: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scores of words at `positions` (batch, predictions, vocabulary) and of the next sentence (batch, 2).

        The mask goes in with four dimensions: transformers looks into a smaller one on the device to see whether it is
        needed, which would wait for the device, and cannot be done on the meta device.
        """
        encoded = self.bert.bert(
            input_ids=input_ids, token_type_ids=segment_ids, attention_mask=attended[:, None, None, :]
        )
        hidden = encoded.last_hidden_state
        masked = hidden.gather(1, positions[:, :, None].expand(-1, -1, hidden.shape[-1]))
        words, following = self.bert.cls(masked, encoded.pooler_output)
        return words, following


class BertPretraining(Trainable, Inferable):
    """BERT with the training case of FlagPerf's and MLPerf's `bert`; served with both heads."""

    input_names = ("input_ids", "segment_ids", "attended", "positions")
    output_names = ("words", "following")

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(BertArchitecture).validate_python(recipe.architecture)
        self.network = MaskedWordsAndNextSentence(self.sizes)
        self.metrics = {"mlm_accuracy": Share()}

    def tensor_plan(self) -> TensorPlan | None:
        """As `bert_tensor_plan`."""
        return bert_tensor_plan(self.sizes, at="bert.")

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross entropy over the masked words, plus that of the next sentence."""
        words, following = self._forward(batch)
        return token_loss(words, _word_targets(batch)) + cross_entropy(following.float(), batch["is_random_next"])

    def evaluate(self, batch: Batch) -> None:
        """Share of masked words that got the highest score."""
        self.score(self._forward(batch), batch)

    def served(self) -> nn.Module:
        """The network, which takes plain tensors and gives two."""
        return self.network

    def inputs(self, batch: Batch) -> Tensors:
        """What the network takes, in its order."""
        return tuple(batch[name] for name in self.input_names)

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """As in training's evaluation."""
        targets = _word_targets(batch)
        self.metrics["mlm_accuracy"].update(outputs[0].argmax(dim=-1) == targets, targets != IGNORED)

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        scores: tuple[Tensor, Tensor] = self.network(*self.inputs(batch))
        return scores

    def datasets(self, spec: DataSpec) -> Datasets:
        """MLPerf's shards under `spec.root`, or masked text of the standard library."""
        if spec.name == "dataset":
            source = self.recipe.data_source
            return mlperf_datasets(
                dataset_root(spec, expected=LAYOUT, source=source), source=source, **self._examples()
            )
        sample = text_sample(spec.cache_path, "wordpiece", self.sizes.vocabulary)
        return Datasets(*(MaskedWords(tokens, **self._examples()) for tokens in (sample.train, sample.evaluation)))

    def evaluation_data(self, spec: DataSpec) -> Dataset[MaskedExample]:
        """What training evaluates on; what it trains on need not be there."""
        if spec.name != "dataset":
            return self.datasets(spec).evaluation
        root = dataset_root(spec, expected=LAYOUT, source=self.recipe.data_source)
        return mlperf_part(root, "evaluation", source=self.recipe.data_source, **self._examples())

    def calibration_data(self, spec: DataSpec) -> Dataset[MaskedExample] | None:
        """The sample's examples to train on; MLPerf's are not asked for."""
        return None if spec.name == "dataset" else self.datasets(spec).train

    def _examples(self) -> dict[str, int]:
        sizes = self.sizes
        return {
            "sequence_length": sizes.sequence_length,
            "predictions": sizes.predictions,
            "vocabulary": sizes.vocabulary,
        }

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of masked sequences."""
        return masked_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random ids; every sequence has its full length and number of masked words."""
        sizes = self.sizes
        return random_masked_batch(batch_size, sizes.sequence_length, sizes.predictions, sizes.vocabulary)

    def count(self, batch: Batch) -> Counts:
        """Sequences and real tokens."""
        return count_sequences(batch)


def _word_targets(batch: Batch) -> Tensor:
    """The masked words (batch, predictions); place 0 is `[CLS]` and marks a prediction that does not count."""
    return torch.where(batch["positions"] > 0, batch["word_ids"], IGNORED)

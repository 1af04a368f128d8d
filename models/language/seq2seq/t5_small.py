"""T5-small that summarises news: FlagPerf training/t5_small (Hugging Face's network and recipe; Raffel et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.language.samples.number_words import number_pairs, pieces
from models.datasets.language.tasks.summaries import (
    END,
    LAYOUT,
    PAD,
    Decode,
    PaddedPairs,
    random_summary_batch,
    stored_summaries,
    summary_batch,
)
from models.datasets.language.tokens.next_token import IGNORED, count_sequences
from models.datasets.language.translation.dictionary import Dictionary
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.language.loss import token_loss
from models.language.seq2seq.scores import ROUGE, rouge
from models.metrics import Mean
from models.recipe import STRICT, Recipe
from models.sharding.units import blocks_of
from models.trainable import Trainable
from models.weights import InitialWeights

UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
"""In the published checkpoint and in no network: attention to the source has no positions."""


@dataclass(kw_only=True, slots=True)
class T5Architecture:
    """Sizes of a T5 1.0: ReLU, relative positions, RMSNorm before each part, one table of embeddings."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    layers: int
    """Of the encoder, and as many of the decoder."""
    hidden: int
    heads: int
    head_size: int
    intermediate: int
    position_buckets: int
    furthest_position: int
    """From this distance on all distances share a bucket."""
    dropout: float
    source_length: int
    target_length: int
    """All texts are padded to these; summaries are generated up to `target_length`, their beginning included."""


class T5(Trainable):
    """T5 with the case of FlagPerf's `t5_small`; the unit is the text with its summary."""

    evaluates_by_generating = True

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        from transformers import T5Config, T5ForConditionalGeneration

        sizes = self.sizes = TypeAdapter(T5Architecture).validate_python(recipe.architecture)
        self.fused = bool(getattr(T5ForConditionalGeneration, "_supports_sdpa", False))  # not in older transformers
        config = T5Config(
            vocab_size=sizes.vocabulary,
            d_model=sizes.hidden,
            d_kv=sizes.head_size,
            d_ff=sizes.intermediate,
            num_layers=sizes.layers,
            num_heads=sizes.heads,
            relative_attention_num_buckets=sizes.position_buckets,
            relative_attention_max_distance=sizes.furthest_position,
            dropout_rate=sizes.dropout,
            feed_forward_proj="relu",
            tie_word_embeddings=True,
            pad_token_id=PAD,
            eos_token_id=END,
            decoder_start_token_id=PAD,
            attn_implementation="sdpa" if self.fused else "eager",
        )
        self.network = T5ForConditionalGeneration(config)
        self.metrics = {name: Mean() for name in ROUGE}
        self.decode: Decode | None = None

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross entropy of the summaries' tokens, their ends included.

        The mask goes in with four dimensions: transformers looks into a smaller one on the device to see whether it is
        needed, which would wait for the device, and cannot be done on the meta device.
        """
        attended = batch["attended"][:, None, None, :]
        if not self.fused:  # a mask of four dimensions is added to the scores as it is
            attended = torch.zeros_like(attended, dtype=torch.float32).masked_fill(
                ~attended, torch.finfo(torch.float32).min
            )
        scores: Tensor = self.network(
            input_ids=batch["input_ids"],
            attention_mask=attended,
            decoder_input_ids=batch["previous"],
            use_cache=False,
        ).logits
        return token_loss(scores, batch["targets"])

    def units(self) -> list[nn.Module]:
        """The encoder's layers: how often the decoder's run depends on what is generated, and differs by rank."""
        return blocks_of(self.network.get_submodule("encoder"))

    def evaluate(self, batch: Batch) -> None:
        """ROUGE F1 of each generated summary against the decoded labels.

        The most likely word is taken each time, as in the published case. Published is the middle of bootstrap samples
        of the mean, here the mean itself.
        """
        assert self.decode is not None, "`datasets` tells how ids are decoded"
        targets = batch["targets"]
        references = self.decode(torch.where(targets == IGNORED, PAD, targets).tolist())
        for name, values in rouge(self.decode(self.summarise(batch).tolist()), references).items():
            self.metrics[name].update(torch.tensor(values, device=targets.device))

    def summarise(self, batch: Batch) -> Tensor:
        """Ids of a summary of each text (batch, at most `target_length`); they begin with `PAD`."""
        network: Any = self.network
        found: Tensor = network.generate(
            batch["input_ids"],
            attention_mask=batch["attended"].long(),
            max_length=self.sizes.target_length,
            num_beams=1,
            do_sample=False,
        )
        return found

    def datasets(self, spec: DataSpec) -> Datasets:
        """CNN/DailyMail as FlagPerf tokenised it under `spec.root`, or sentences of numbers to translate.

        Raises:
            DataError: a file is missing or malformed, or `spec.root` is not given; see `stored_summaries`.
        """
        lengths = {"source_length": self.sizes.source_length, "target_length": self.sizes.target_length}
        if spec.name == "dataset":
            source = self.recipe.data_source
            root = dataset_root(spec, expected=LAYOUT, source=source)
            train, evaluation, self.decode = stored_summaries(
                root, **lengths, vocabulary=self.sizes.vocabulary, source=source
            )
            return Datasets(train, evaluation)
        dictionary = Dictionary(("<pad>", "</s>", "<unk>", *pieces()), pad=PAD, end=END)
        self.decode = lambda rows: [dictionary.text(row) for row in rows]
        return Datasets(*(PaddedPairs(part, **lengths) for part in number_pairs(dictionary)))

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """The published checkpoint has our names, and one tensor that no T5 uses."""
        return InitialWeights({name: tensor for name, tensor in weights.items() if name != UNUSED})

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of texts and summaries."""
        return summary_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random words, every text and summary at its full length."""
        sizes = self.sizes
        return random_summary_batch(batch_size, sizes.source_length, sizes.target_length, sizes.vocabulary)

    def count(self, batch: Batch) -> Counts:
        """Texts, and the tokens of texts and summaries."""
        return count_sequences(batch)

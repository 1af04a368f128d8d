"""Transformer-XL: words of a long text, read in segments with a memory, judged by perplexity."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from torch import Tensor

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.language.samples.text_sample import text_sample
from models.datasets.language.tokens.next_token import (
    Sequences,
    count_sequences,
    next_token_batch,
    random_next_token_batch,
)
from models.datasets.language.tokens.passages import Passages
from models.datasets.language.tokens.wikitext import LAYOUT, wikitext_tokens
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.language.memory.adaptive_words import tail_places, zipf_targets
from models.language.memory.transformer_xl_network import Memory, TransformerXlArchitecture, TransformerXlNetwork
from models.language.perplexity import Perplexity
from models.recipe import Recipe
from models.trainable import Trainable


class TransformerXl(Trainable):
    """Transformer-XL with the training case of FlagPerf's `transformer_xl`.

    In training, row i of a batch goes on where row i of the batch before ended, and the memory with it. An example of
    evaluation is a whole passage with a memory of its own, so that neither batches nor ranks change what is measured.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(TransformerXlArchitecture).validate_python(recipe.architecture)
        self.network = TransformerXlNetwork(self.sizes)
        self.metrics = {"perplexity": Perplexity()}
        self.memory: Memory | None = None

    def loss(self, batch: Batch) -> Tensor:
        """Mean next-token cross entropy of one segment per row; its states become the memory of the next."""
        losses: Tensor
        (tails,) = batch["tails"]
        losses, self.memory = self.network(batch["input_ids"], batch["targets"], tails, self.memory)
        return losses.mean()

    def evaluate(self, batch: Batch) -> None:
        """Cross entropy of whole passages, each read from its beginning."""
        memory, parts = None, []
        segments = (batch[name].split(self.sizes.sequence_length, dim=1) for name in ("input_ids", "targets"))
        for input_ids, targets, tails in zip(*segments, batch["tails"], strict=True):
            losses, memory = self.network(input_ids, targets, tails, memory)
            parts.append(losses.sum() / batch["tokens"])
        self.metrics["perplexity"].update(sum(parts[1:], parts[0]), weight=batch["tokens"])

    def reset_state(self) -> None:
        """Begin a new text."""
        self.memory = None

    def datasets(self, spec: DataSpec) -> Datasets:
        """Segments of one text in order, and passages of another."""
        sizes = self.sizes
        if spec.name == "dataset":
            source = self.recipe.data_source
            root = dataset_root(spec, expected=LAYOUT, source=source)
            train, evaluation = wikitext_tokens(root, spec.cache_path, vocabulary=sizes.vocabulary, source=source)
        else:
            sample = text_sample(spec.cache_path, "bpe", sizes.vocabulary)
            train, evaluation = sample.train, sample.evaluation
        return Datasets(
            Sequences(train, sequence_length=sizes.sequence_length, vocabulary=sizes.vocabulary),
            Passages(evaluation, length=sizes.evaluation_segments * sizes.sequence_length, vocabulary=sizes.vocabulary),
        )

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of segments or passages; `tails` says for each segment where its rare words are."""
        batch = next_token_batch(examples)
        segments = batch["targets"].split(self.sizes.sequence_length, dim=1)
        return batch | {"tails": [tail_places(targets, self.sizes.clusters) for targets in segments]}

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random ids; the targets are as often rare as by Zipf's law."""
        length = self.sizes.sequence_length
        targets, tails = zipf_targets(batch_size * length, self.sizes.clusters)
        batch = random_next_token_batch(batch_size, length, self.sizes.vocabulary)
        return batch | {"targets": targets.view(batch_size, length), "tails": [tails]}

    def count(self, batch: Batch) -> Counts:
        """Segments and their tokens."""
        return count_sequences(batch)

"""Transformer-big, English to German: FlagPerf training/transformer (NVIDIA DeepLearningExamples' copy of fairseq)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.language.samples.number_words import number_pairs, pieces
from models.datasets.language.translation.detokenise import detokenise
from models.datasets.language.translation.dictionary import END, FAIRSEQ_SPECIAL, PAD, Dictionary
from models.datasets.language.translation.fairseq_pairs import LAYOUT, fairseq_pairs
from models.datasets.language.translation.pairs import count_target_tokens, pair_batch, random_pair_batch
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.language.seq2seq.beam_search import NextWords, beam_search
from models.language.seq2seq.scores import CorpusBleu
from models.language.seq2seq.transformer_network import KeyValues, TransformerNetwork, TransformerSizes
from models.recipe import Recipe
from models.trainable import Trainable


@dataclass(kw_only=True, slots=True)
class TransformerArchitecture(TransformerSizes):
    """Sizes of the network, and how it is evaluated."""

    beam: int
    longest_translation: int
    """Ids at most, without the end."""
    length_penalty: float
    synthetic_length: int
    """Ids of each sentence of `data=synthetic`."""


class Transformer(Trainable):
    """Translation with a Transformer; the unit is the target token, as fairseq counts words per second."""

    regularisations: ClassVar[frozenset[str]] = frozenset({"label_smoothing"})
    evaluates_by_generating = True

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
            ValueError: there are fewer positions than a sentence may have ids.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(TransformerArchitecture).validate_python(recipe.architecture)
        if max(self.sizes.longest_translation + 1, self.sizes.synthetic_length) > self.sizes.positions:
            raise ValueError(
                f"model.architecture.positions={self.sizes.positions} is less than longest_translation + 1 or "
                "synthetic_length"
            )
        self.network = TransformerNetwork(self.sizes)
        self.metrics = {"bleu": CorpusBleu(lowercase=True)}
        self.dictionary: Dictionary | None = None

    def units(self) -> list[nn.Module]:
        """The encoder's layers: how often the decoder's run depends on what is translated, and differs by rank."""
        return list(self.network.get_submodule("encoder").children())

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross entropy of the batch's target tokens, float32; label smoothing goes to the whole dictionary.

        Published is the sum over all ranks' tokens divided by their number. Data parallel takes the mean of the ranks'
        means instead; ranks differ by a few percent of tokens.
        """
        scores = self.network(batch["source"], batch["previous"])
        smoothing = self.recipe.training.regularisation.label_smoothing
        return cross_entropy(
            scores.flatten(0, 1).float(), batch["target"].flatten(), ignore_index=PAD, label_smoothing=smoothing
        )

    def evaluate(self, batch: Batch) -> None:
        """BLEU of the best translations, put back into running text, against the references; case is not compared."""
        assert self.dictionary is not None, "`datasets` tells the dictionary"
        found = self.translate(batch["source"]).tolist()
        texts = [detokenise(self.dictionary.text(ids)) for ids in found]
        self.metrics["bleu"].update(texts, batch["references"])

    def translate(self, source: Tensor) -> Tensor:
        """Ids of the best translation of each source (batch, longest_translation + 1), closed by `END` and padded."""
        sizes = self.sizes
        return beam_search(
            self._next_words(source),
            sentences=len(source),
            beam=sizes.beam,
            longest=sizes.longest_translation,
            end=END,
            pad=PAD,
            length_penalty=sizes.length_penalty,
            device=source.device,
        )

    def _next_words(self, source: Tensor) -> NextWords:
        """The network on rows of `beam` translations of each source; it keeps what it has seen from call to call."""
        network: Any = self.network
        encoded, mask = network.encode(source)
        mask = mask.repeat_interleave(self.sizes.beam, dim=0)
        sources = network.look_at_source(encoded.repeat_interleave(self.sizes.beam, dim=0))
        past: list[KeyValues] = []
        place = 0

        def next_words(words: Tensor, origin: Tensor | None) -> Tensor:
            nonlocal past, place
            if origin is not None:
                past = [KeyValues(*(part.index_select(0, origin) for part in layer)) for layer in past]
            scores, past = network.next_word(words, place, sources, mask, past)
            place += 1
            return torch.log_softmax(scores.float(), dim=-1)

        return next_words

    def datasets(self, spec: DataSpec) -> Datasets:
        """WMT14 as fairseq binarises it under `spec.root`, or sentences of numbers.

        Raises:
            DataError: a file is missing or malformed, or `spec.root` is not given; see `fairseq_pairs`.
        """
        sizes = self.sizes
        if spec.name == "dataset":
            source = self.recipe.data_source
            root = dataset_root(spec, expected=LAYOUT, source=source)
            train, test, self.dictionary = fairseq_pairs(
                root, vocabulary=sizes.vocabulary, longest=sizes.positions, source=source
            )
            return Datasets(train, test)
        self.dictionary = Dictionary((*FAIRSEQ_SPECIAL, *pieces()))
        return Datasets(*number_pairs(self.dictionary))

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of pairs."""
        return pair_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random words; every sentence has `synthetic_length`."""
        return random_pair_batch(batch_size, self.sizes.synthetic_length, self.sizes.vocabulary)

    def count(self, batch: Batch) -> Counts:
        """Target tokens."""
        return count_target_tokens(batch)

"""GLM fine-tuned on cloze questions: the candidate that fits the blank best is the answer."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor
from torch.nn.functional import cross_entropy

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.language.tasks.cloze import cloze_batch, random_cloze_batch
from models.datasets.language.tasks.cloze_sample import sample_questions
from models.datasets.language.tasks.record import LAYOUT, record_questions
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.language.infilling.glm_network import GlmArchitecture, GlmNetwork
from models.metrics import Share
from models.recipe import Recipe
from models.trainable import Trainable


class Glm(Trainable):
    """GLM with the training case of FlagPerf's `glm`."""

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(GlmArchitecture).validate_python(recipe.architecture)
        self.network = GlmNetwork(self.sizes)
        self.metrics = {"exact_match": Share()}

    def loss(self, batch: Batch) -> Tensor:
        """Cross entropy over each question's candidates, of which the first is right in training data."""
        scores = self.scores(batch)
        return cross_entropy(scores, scores.new_zeros(len(scores), dtype=torch.int64))

    def evaluate(self, batch: Batch) -> None:
        """Share of questions whose best candidate is one of the right ones."""
        passes = self.sizes.choices_per_pass
        parts = {name: batch[name].split(passes, dim=1) for name in ("text", "positions", "context", *ANSWER)}
        scores = [self.scores(dict(zip(parts, values, strict=True))) for values in zip(*parts.values(), strict=True)]
        best = torch.cat(scores, dim=1).argmax(dim=1, keepdim=True)
        self.metrics["exact_match"].update(batch["right"].gather(1, best))

    def scores(self, batch: Batch) -> Tensor:
        """Logarithm of each candidate's probability, float32 (questions, candidates); -inf where there is none."""
        names = ("text", "positions", "context", "places")
        words = self.network(*(batch[name].flatten(0, 1) for name in names)).float()
        targets, counted = batch["targets"], batch["counted"]
        found = -cross_entropy(words.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
        scores: Tensor = (found * counted).sum(dim=-1).masked_fill(~counted.any(dim=-1), -torch.inf)
        return scores

    def datasets(self, spec: DataSpec) -> Datasets:
        """ReCoRD's questions under `spec.root`, or made-up ones."""
        length, vocabulary = self.sizes.sequence_length, self.sizes.vocabulary
        if spec.name == "dataset":
            source = self.recipe.data_source
            root = dataset_root(spec, expected=LAYOUT, source=source)
            return record_questions(root, sequence_length=length, vocabulary=vocabulary, source=source)
        return sample_questions(sequence_length=length, vocabulary=vocabulary)

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of questions with as many candidates as the longest list of them has."""
        return cloze_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random ids; each question has ReCoRD's usual ten candidates, each text its full length."""
        return random_cloze_batch(batch_size, self.sizes.sequence_length, self.sizes.vocabulary)

    def count(self, batch: Batch) -> Counts:
        """Questions, and tokens of all their candidates' texts."""
        return Counts(samples=batch["samples"], tokens=batch["tokens"])


ANSWER = ("places", "targets", "counted")
"""Entries of a batch that say which words a candidate consists of."""

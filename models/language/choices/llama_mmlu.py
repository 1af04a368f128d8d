"""A Llama that answers MMLU: one forward pass over a question says how likely each of the four letters is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from models.datasets.base import Batch
from models.datasets.language.samples.text_sample import text_sample
from models.datasets.language.tasks import mmlu
from models.datasets.language.tasks.mmlu import LETTERS, ChoiceExample, MultipleChoice, choice_batch, read_mmlu
from models.datasets.language.tasks.question_sample import sample_subjects
from models.datasets.reading import Reader
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.inferable import Tensors
from models.language.decoders.llama import Llama, LlamaArchitecture
from models.metrics import Share
from models.recipe import Recipe

LAYOUT = f"{mmlu.LAYOUT.format(folder='<root>', part='test')}; <root>/tokenizer.json, the model's own"


@dataclass(kw_only=True, slots=True)
class MmluArchitecture(LlamaArchitecture):
    """Sizes of a Llama; `sequence_length` is what every prompt is padded to, behind its end."""

    shots: int
    """Solved examples before each question."""


class LlamaMmlu(Llama):
    """A Llama, or a model of the same form, in FlagPerf's inference case: MMLU after five solved examples.

    The unit is the question; its tokens are those of the prompt without padding. FlagPerf takes the likeliest of all
    tokens for the answer; this takes the likeliest letter, as MMLU's authors do.
    """

    architecture: ClassVar[type[LlamaArchitecture]] = MmluArchitecture
    input_names: ClassVar[tuple[str, ...]] = ("input_ids", "last", "letters")
    output_names: ClassVar[tuple[str, ...]] = ("log_likelihoods",)

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.metrics = {"mmlu_accuracy": Share()}

    def served(self) -> nn.Module:
        """Ids (batch, length), place of the last one (batch,) and letters' ids (batch, 4) to float32 (batch, 4)."""
        return LetterScores(self.network)

    def inputs(self, batch: Batch) -> Tensors:
        """Ids, places and letters."""
        return (batch["input_ids"], batch["last"], batch["letters"])

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """Share of questions whose right letter is the likeliest of the four; all subjects' questions count alike."""
        self.metrics["mmlu_accuracy"].update(outputs[0].argmax(dim=-1) == batch["answer"])

    def evaluation_data(self, spec: DataSpec) -> Dataset[ChoiceExample]:
        """MMLU's test questions, or questions about Python's names."""
        sizes, source = self.sizes, self.recipe.data_source
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=source)
            tokenizer = Reader(expected=LAYOUT, source=source).tokenizer(root / "tokenizer.json")
            subjects = read_mmlu(root, source=source)
        else:
            tokenizer = text_sample(spec.cache_path, "bpe", sizes.vocabulary).tokenizer
            subjects = sample_subjects(tokenizer, sizes.shots)
        return MultipleChoice(
            subjects, tokenizer, shots=sizes.shots, length=sizes.sequence_length, vocabulary=sizes.vocabulary
        )

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of prompts."""
        return choice_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random ids of full length."""
        length, vocabulary = self.sizes.sequence_length, self.sizes.vocabulary
        return {
            "input_ids": torch.randint(vocabulary, (batch_size, length)),
            "letters": torch.randint(vocabulary, (batch_size, len(LETTERS))),
            "answer": torch.randint(len(LETTERS), (batch_size,)),
            "last": torch.full((batch_size,), length - 1),
            "samples": batch_size,
            "tokens": batch_size * length,
        }


class LetterScores(nn.Module):
    """Of each row, the logarithms of how likely the given tokens are to come next; the head sees one place alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, last: Tensor, letters: Tensor) -> tuple[Tensor]:
        """Float32 (batch, letters)."""
        hidden = self.network.model(input_ids=ids, use_cache=False).last_hidden_state  # type: ignore[operator]
        rows = last[:, None, None].expand(-1, 1, hidden.shape[-1])
        scores = self.network.lm_head(hidden.gather(1, rows)[:, 0])  # type: ignore[operator]
        return (scores.float().log_softmax(dim=-1).gather(1, letters),)

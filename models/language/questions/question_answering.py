"""What encoders share that mark an answer in a text: SQuAD 1.1, its windows, its scores. They are only served."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.utils.data import Dataset

from models.datasets.base import Batch, Counts
from models.datasets.language.questions.number_facts import number_facts, word_tokenizer
from models.datasets.language.questions.pair_tokenizer import PairForm, read_tokenizer
from models.datasets.language.questions.squad import Question, read_squad
from models.datasets.language.questions.windows import (
    QuestionWindows,
    WindowExample,
    random_window_batch,
    window_batch,
)
from models.datasets.language.tokens.next_token import count_sequences
from models.datasets.reading import Reader
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.inferable import Inferable, Tensors
from models.language.questions.spans import best_answer
from models.language.questions.squad_score import QuestionScore, exact_match, f1
from models.recipe import STRICT, Recipe
from models.weights import InitialWeights

RENAMED = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))
"""Names in checkpoints that were made of Google's, and ours."""


@dataclass(kw_only=True, slots=True)
class QuestionSizes:
    """Sizes of an encoder and of its windows; a model adds its own."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    layers: int
    hidden: int
    heads: int
    intermediate: int
    positions: int
    """Rows of the table of positions."""
    sequence_length: int
    query_length: int
    """Tokens of a question at most."""
    stride: int
    """Tokens from the beginning of a window to that of the next one."""
    best: int
    """Beginnings, and ends, that are looked at for the answer of a window."""
    longest_answer: int
    """In tokens."""

    def __post_init__(self) -> None:
        if self.sequence_length <= self.query_length + 4:
            raise ValueError("model.architecture.sequence_length leaves no room for a text beside query_length")

    def encoder(self) -> dict[str, int]:
        """What every configuration of transformers calls the same."""
        return {
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": self.positions,
        }


class SpanScores(nn.Module):
    """Transformers' network as plain tensors: ids, mask and, if it takes them, segments to two rows of scores."""

    def __init__(self, network: nn.Module, *, four_dimensions: bool) -> None:
        super().__init__()
        self.network, self.four_dimensions = network, four_dimensions

    def forward(self, input_ids: Tensor, attended: Tensor, segment_ids: Tensor | None = None) -> Tensors:
        """Scores of each place (batch, length) as a beginning and as an end.

        The mask goes in with four dimensions where it may: transformers looks into a smaller one.
        """
        mask = attended[:, None, None, :] if self.four_dimensions else attended
        extra = {} if segment_ids is None else {"token_type_ids": segment_ids}
        scores = self.network(input_ids=input_ids, attention_mask=mask, **extra)
        return scores.start_logits, scores.end_logits


class QuestionAnswering(Inferable):
    """An encoder with two outputs at each place, judged by SQuAD's F1; the unit is the window, a sequence."""

    input_names: ClassVar[tuple[str, ...]] = ("input_ids", "attended", "segment_ids")
    output_names: ClassVar[tuple[str, ...]] = ("start_scores", "end_scores")
    architecture: ClassVar[type[QuestionSizes]] = QuestionSizes
    """The typed form of the recipe's `architecture`."""
    form: ClassVar[PairForm]
    """How a question and a text are written."""
    unused: ClassVar[tuple[str, ...]]
    """Beginnings of what checkpoints have besides."""
    four_dimensions: ClassVar[bool] = True
    """Whether the network takes a mask of (batch, 1, 1, length)."""

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes: Any = TypeAdapter(self.architecture).validate_python(recipe.architecture)
        self.network = self.build()
        self.metrics = {"em": QuestionScore(exact_match), "f1": QuestionScore(f1)}

    @abstractmethod
    def build(self) -> nn.Module:
        """Transformers' network of `self.sizes`, with random weights."""

    def served(self) -> nn.Module:
        """Two rows of scores."""
        return SpanScores(self.network, four_dimensions=self.four_dimensions)

    def inputs(self, batch: Batch) -> Tensors:
        """Ids, mask and, where the model tells the question from the text by them, segments."""
        return tuple(batch[name] for name in self.input_names)

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """The best answer of each window, to be held against those of the question's other windows."""
        starts, ends = (one.float().numpy() for one in outputs)
        sizes = self.sizes
        for row, window in enumerate(batch["windows"]):
            answer = best_answer(starts[row], ends[row], window, best=sizes.best, longest=sizes.longest_answer)
            for metric in self.metrics.values():
                metric.update(window.question, answer.score, answer.text, window.answers)

    def evaluation_data(self, spec: DataSpec) -> Dataset[WindowExample]:
        """SQuAD's development set under `spec.root` with the model's tokenizer, or facts in number words."""
        if spec.name != "dataset":
            return self._windows(number_facts(evaluation=True), word_tokenizer(self.form))
        layout, source = self.form.layout, self.recipe.data_source
        root, reader = dataset_root(spec, expected=layout, source=source), Reader(expected=layout, source=source)
        return self._windows(read_squad(root, reader), read_tokenizer(root, self.form, reader))

    def calibration_data(self, spec: DataSpec) -> Dataset[WindowExample] | None:
        """Other facts; of SQuAD, all that is asked for is evaluated on."""
        return (
            None if spec.name == "dataset" else self._windows(number_facts(evaluation=False), word_tokenizer(self.form))
        )

    def _windows(self, questions: list[Question], tokenizer: Any) -> QuestionWindows:
        sizes = self.sizes
        return QuestionWindows(
            questions,
            tokenizer,
            self.form,
            length=sizes.sequence_length,
            query_length=sizes.query_length,
            stride=sizes.stride,
            vocabulary=sizes.vocabulary,
        )

    def collate(self, examples: list[WindowExample]) -> Batch:
        """A batch of windows."""
        return window_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random ids; every window has its full length."""
        sizes = self.sizes
        return random_window_batch(
            batch_size, sizes.sequence_length, vocabulary=sizes.vocabulary, query_length=sizes.query_length
        )

    def count(self, batch: Batch) -> Counts:
        """Windows and real tokens."""
        return count_sequences(batch)

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """A checkpoint that was fine-tuned on SQuAD, as Hugging Face hosts it; its pooler is not used."""
        tensors = {}
        for name, tensor in weights.items():
            if name.startswith(self.unused):
                continue
            for theirs, ours in RENAMED:
                name = name.replace(theirs, ours)  # noqa: PLW2901 - the same name, modernised
            tensors[name] = tensor
        return InitialWeights(tensors)

"""Questions with windows of their texts, as BERT reads them: a long text in several overlapping inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from models.datasets.base import Batch
from models.datasets.language.questions.pair_tokenizer import PairForm
from models.datasets.language.questions.squad import Question
from models.datasets.language.tokens.token_stream import Tokens, check_vocabulary


@dataclass(kw_only=True, slots=True, frozen=True)
class Window:
    """Which part of which text an input shows."""

    question: str
    """The question's id."""
    answers: tuple[str, ...]
    context: str
    first: int
    """Place of the text's first token in the input; a separator follows its last one."""
    characters: NDArray[np.int32] = field(repr=False)
    """(tokens of the text, 2): where each token begins and ends in `context`."""
    own: NDArray[np.bool_] = field(repr=False)
    """(tokens of the text,): whether no other window shows more of the text around the token."""

    @property
    def tokens(self) -> int:
        """Inputs that are not padding."""
        return self.first + len(self.characters) + 1


class WindowExample(NamedTuple):
    """One input; int64 arrays (length,), padding last."""

    input_ids: Tokens
    segment_ids: Tokens
    """0 for the question, 1 for the text and the separator after it."""
    window: Window


class QuestionWindows(Dataset[WindowExample]):
    """Every window of every question, in order."""

    def __init__(
        self,
        questions: Sequence[Question],
        tokenizer: Any,
        form: PairForm,
        *,
        length: int,
        query_length: int,
        stride: int,
        vocabulary: int,
    ) -> None:
        """Encode and cut.

        Args:
            questions: to be asked.
            tokenizer: `tokenizers.Tokenizer`.
            form: the model's special tokens.
            length: inputs per window.
            query_length: tokens of a question at most; what is longer loses its end.
            stride: tokens from the beginning of a window to that of the next one.
            vocabulary: ids must be below it.

        Raises:
            DataError: an id is outside the vocabulary.
        """
        self.length, self.padding = length, tokenizer.token_to_id(form.padding)
        begin, end = (tokenizer.token_to_id(one) for one in (form.begin, form.separator))
        asked = tokenizer.encode_batch([one.text for one in questions], add_special_tokens=False)
        contexts = list(dict.fromkeys(one.context for one in questions))
        encoded = tokenizer.encode_batch(contexts, add_special_tokens=False)
        texts = {
            context: (np.array(one.ids, np.int64), np.array(one.offsets, np.int32).reshape(-1, 2))
            for context, one in zip(contexts, encoded, strict=True)
        }
        self.parts: list[tuple[Tokens, Tokens, Window]] = []
        for question, query in zip(questions, asked, strict=True):
            head = np.array([begin, *query.ids[:query_length], *[end] * form.between], np.int64)
            ids, characters = texts[question.context]
            check_vocabulary(np.concatenate([head, ids]), vocabulary, f"question {question.name}")
            room = length - len(head) - 1
            for (start, stop), own in _cut(len(ids), room, stride):
                window = Window(
                    question=question.name,
                    answers=question.answers,
                    context=question.context,
                    first=len(head),
                    characters=characters[start:stop],
                    own=own,
                )
                self.parts.append((head, np.append(ids[start:stop], end), window))

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> WindowExample:
        """One window."""
        head, text, window = self.parts[index]
        free = self.length - len(head) - len(text)
        ids = np.concatenate([head, text, np.full(free, self.padding, np.int64)])
        segments = np.repeat(np.array([0, 1, 0], np.int64), [len(head), len(text), free])
        return WindowExample(ids, segments, window)


def _cut(count: int, room: int, stride: int) -> list[tuple[tuple[int, int], NDArray[np.bool_]]]:
    """Where each window of `count` tokens begins and ends, and which of its tokens are its own.

    A token belongs to the window with the most text on its scarcer side, of two alike to the longer and then the
    earlier one (Devlin et al. 2018, run_squad.py).
    """
    edges = [(0, min(room, count))]
    while edges[-1][1] < count:
        start = edges[-1][0] + min(room, stride)
        edges.append((start, min(start + room, count)))
    around = np.full((len(edges), count), -1.0)
    for row, (start, stop) in zip(around, edges, strict=True):
        place = np.arange(stop - start)
        row[start:stop] = np.minimum(place, place[::-1]) + 0.01 * (stop - start)
    owner = around.argmax(axis=0)
    return [((start, stop), owner[start:stop] == number) for number, (start, stop) in enumerate(edges)]


def window_batch(examples: Sequence[WindowExample]) -> Batch:
    """Join windows of one length.

    Returns:
        int64 `input_ids` and `segment_ids`, bool `attended` (batch, length), false at padding; `windows`, a `Window`
        each; `samples` and `tokens` as integers.
    """
    lengths = torch.tensor([one.window.tokens for one in examples])
    input_ids, segment_ids = (
        torch.from_numpy(np.stack([getattr(one, name) for one in examples])) for name in ("input_ids", "segment_ids")
    )
    return {
        "input_ids": input_ids,
        "segment_ids": segment_ids,
        "attended": torch.arange(input_ids.shape[1]) < lengths[:, None],
        "windows": [one.window for one in examples],
        "samples": len(examples),
        "tokens": sum(one.window.tokens for one in examples),
    }


def random_window_batch(batch_size: int, length: int, *, vocabulary: int, query_length: int) -> Batch:
    """The same with random ids, full length and a longest question, on torch's default device; nothing is asked."""
    segments = (torch.arange(length) >= query_length).long()
    return {
        "input_ids": torch.randint(vocabulary, (batch_size, length)),
        "segment_ids": segments.expand(batch_size, length).contiguous(),
        "attended": torch.ones(batch_size, length, dtype=torch.bool),
        "windows": [],
        "samples": batch_size,
        "tokens": batch_size * length,
    }

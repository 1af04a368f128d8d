"""Texts and their summaries in T5's ids: FlagPerf's CNN/DailyMail, or any pairs padded like it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from models.datasets.base import Batch
from models.datasets.language.tokens.next_token import IGNORED
from models.datasets.language.tokens.npz_table import npz_columns
from models.datasets.language.tokens.token_stream import Tokens, check_vocabulary
from models.datasets.language.translation.pairs import Pair
from models.datasets.reading import Reader

PAD, END = 0, 1
"""T5's; the decoder begins with `PAD`."""
ARRAYS = ("input_ids", "attention_mask", "labels")
LAYOUT = (
    "<root>/dataset/{train,eval}_dataset.npz with integer input_ids, attention_mask [examples, source length] and "
    "labels [examples, target length, -100 after the end], and <root>/model/tokenizer.json"
)
Decode = Callable[[list[list[int]]], list[str]]
"""Rows of ids as texts, without padding and ends."""


class SummaryExample(NamedTuple):
    """A text and its summary, each padded to one length."""

    inputs: Tokens
    tokens: int
    """How many of `inputs` are no padding; they come first."""
    targets: Tokens
    """`IGNORED` after the end."""


class StoredSummaries(Dataset[SummaryExample]):
    """The examples of one `.npz`, read when they are asked for."""

    def __init__(self, path: Path, *, source_length: int, target_length: int, vocabulary: int, reader: Reader) -> None:
        lengths = zip(ARRAYS, (source_length, source_length, target_length), strict=True)
        columns = npz_columns(path, dict(lengths), reader)
        self.inputs, self.mask, self.labels = (columns[name] for name in ARRAYS)
        self.path, self.vocabulary, self.reader = path, vocabulary, reader

    def __len__(self) -> int:
        return self.inputs.rows

    def __getitem__(self, index: int) -> SummaryExample:
        """One example.

        Raises:
            DataError: an id is outside the vocabulary, or padding is not at the end alone.
        """
        inputs, mask, labels = (one.row(index) for one in (self.inputs, self.mask, self.labels))
        tokens, said = int(mask.sum()), int((labels != IGNORED).sum())
        at_end = (mask == (np.arange(len(mask)) < tokens)).all() and (labels[said:] == IGNORED).all()
        if not (at_end and tokens and said and (inputs[tokens:] == PAD).all()):
            raise self.reader.error(f"Example {index} is not padded at its end alone, or is empty", self.path)
        check_vocabulary(np.concatenate([inputs, labels[:said]]), self.vocabulary, self.path, f"Example {index}:")
        return SummaryExample(inputs, tokens, labels)


class PaddedPairs(Dataset[SummaryExample]):
    """Other pairs in the same form; none may be longer than the lengths."""

    def __init__(self, pairs: Dataset[Pair], *, source_length: int, target_length: int) -> None:
        self.pairs, self.source_length, self.target_length = pairs, source_length, target_length

    def __len__(self) -> int:
        return len(self.pairs)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> SummaryExample:
        """One example."""
        pair = self.pairs[index]
        inputs = np.pad(pair.source, (0, self.source_length - len(pair.source)), constant_values=PAD)
        targets = np.pad(pair.target, (0, self.target_length - len(pair.target)), constant_values=IGNORED)
        return SummaryExample(inputs, len(pair.source), targets)


def summary_batch(examples: list[SummaryExample]) -> Batch:
    """Join examples.

    `input_ids` (batch, source length) int64 and `attended`, bool, true at words; `previous` and `targets` (batch,
    target length) int64: the decoder reads the first and says the second; `samples`, and `tokens` of texts and
    summaries without padding, as integers.
    """
    inputs = torch.from_numpy(np.stack([example.inputs for example in examples]))
    targets = torch.from_numpy(np.stack([example.targets for example in examples]))
    lengths = [example.tokens for example in examples]
    return {
        "input_ids": inputs,
        "attended": torch.arange(inputs.shape[1]) < torch.tensor(lengths)[:, None],
        "previous": previous_words(targets),
        "targets": targets,
        "samples": len(examples),
        "tokens": sum(lengths) + int((targets != IGNORED).sum()),
    }


def random_summary_batch(batch_size: int, source_length: int, target_length: int, vocabulary: int) -> Batch:
    """The same with random ids and no padding, on torch's default device."""
    targets = torch.randint(END + 1, vocabulary, (batch_size, target_length))
    return {
        "input_ids": torch.randint(END + 1, vocabulary, (batch_size, source_length)),
        "attended": torch.ones(batch_size, source_length, dtype=torch.bool),
        "previous": previous_words(targets),
        "targets": targets,
        "samples": batch_size,
        "tokens": batch_size * (source_length + target_length),
    }


def previous_words(targets: torch.Tensor) -> torch.Tensor:
    """What T5's decoder reads: `PAD`, then all targets but the last, `PAD` where they are ignored."""
    first = torch.full_like(targets[:, :1], PAD)
    return torch.cat([first, targets[:, :-1].masked_fill(targets[:, :-1] == IGNORED, PAD)], dim=1)


def stored_summaries(
    root: Path, *, source_length: int, target_length: int, vocabulary: int, source: str
) -> tuple[StoredSummaries, StoredSummaries, Decode]:
    """Both parts of FlagPerf's CNN/DailyMail under `root`, and T5's way from ids to text.

    Raises:
        DataError: a file is missing or damaged, or does not fit the lengths or the vocabulary.
    """
    reader = Reader(expected=LAYOUT, source=source)
    train, evaluation = (
        StoredSummaries(
            root / "dataset" / f"{name}_dataset.npz",
            source_length=source_length,
            target_length=target_length,
            vocabulary=vocabulary,
            reader=reader,
        )
        for name in ("train", "eval")
    )
    return train, evaluation, _decoder(root / "model" / "tokenizer.json", vocabulary, reader)


def _decoder(path: Path, vocabulary: int, reader: Reader) -> Decode:
    tokenizer = reader.tokenizer(path)
    if (size := tokenizer.get_vocab_size()) > vocabulary:
        raise reader.error(f"{size} entries; model.architecture.vocabulary is {vocabulary}", path)

    def decode(rows: list[list[int]]) -> list[str]:
        texts: list[str] = tokenizer.decode_batch(rows, skip_special_tokens=True)
        return texts

    return decode

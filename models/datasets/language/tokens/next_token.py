"""Examples of next-token prediction, and batches of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from models.datasets.base import Batch, Counts, DataError
from models.datasets.language.tokens.token_stream import TokenFile, Tokens, check_vocabulary

IGNORED = -100
"""A target that neither the loss nor a metric counts; torch's own number for it."""


class TokenExample(NamedTuple):
    """One sequence: what the model reads and what it must say at each place."""

    inputs: Tokens
    """(length,)"""
    targets: Tokens
    """(length,), `IGNORED` where nothing is to be predicted."""
    tokens: int
    """Inputs that are not padding."""


class Sequences(Dataset[TokenExample]):
    """Sequences cut one after another from a token file; documents run on into one another.

    Neighbours share the one id that is the last target of the first and the first input of the second.
    """

    def __init__(
        self, tokens: TokenFile, *, sequence_length: int, vocabulary: int, share: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        """Sequences of a part of the file.

        Args:
            tokens: where the ids are.
            sequence_length: inputs per example.
            vocabulary: ids must be below it.
            share: where the part begins and ends, as fractions of the file, e.g. (0.99, 1.0) for a held-out end.

        Raises:
            DataError: the part holds no whole example.
        """
        whole = (tokens.length - 1) // sequence_length
        self.first, self.stop = round(whole * share[0]), round(whole * share[1])
        self.tokens, self.sequence_length, self.vocabulary = tokens, sequence_length, vocabulary
        if self.stop <= self.first:
            raise DataError(
                f"{tokens.length} tokens are too few for sequences of {sequence_length}",
                where=tokens.path,
                expected=f"at least one run of {sequence_length} + 1 token ids in each part of the data",
            )

    def __len__(self) -> int:
        return self.stop - self.first

    def __getitem__(self, index: int) -> TokenExample:
        """One sequence.

        Raises:
            DataError: an id is outside the vocabulary; on the device this would be an unreadable failure.
        """
        start = (self.first + index) * self.sequence_length
        ids = self.tokens.read(start, start + self.sequence_length + 1)
        check_vocabulary(ids, self.vocabulary, self.tokens.path, f"From token {start} of its part on,")
        return TokenExample(ids[:-1], ids[1:], self.sequence_length)


def next_token_batch(examples: list[TokenExample]) -> Batch:
    """Join examples of one length: `input_ids` and `targets` (batch, length), `samples` and `tokens` as integers."""
    return {
        "input_ids": torch.from_numpy(np.stack([example.inputs for example in examples])),
        "targets": torch.from_numpy(np.stack([example.targets for example in examples])),
        "samples": len(examples),
        "tokens": sum(example.tokens for example in examples),
    }


def random_next_token_batch(batch_size: int, length: int, vocabulary: int) -> Batch:
    """The same with random ids, on torch's default device."""
    ids = torch.randint(vocabulary, (2, batch_size, length))
    return {"input_ids": ids[0], "targets": ids[1], "samples": batch_size, "tokens": batch_size * length}


def count_sequences(batch: Batch) -> Counts:
    """Sequences and their real tokens, from the batch's own integers."""
    return Counts(samples=batch["samples"], tokens=batch["tokens"])

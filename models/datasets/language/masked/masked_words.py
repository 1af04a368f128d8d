"""BERT's pre-training examples: two segments of text, some words masked (Devlin et al. 2018)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from models.datasets.base import Batch, DataError
from models.datasets.language.samples.text_sample import SPECIAL
from models.datasets.language.tokens.token_stream import TokenFile, Tokens, check_vocabulary

PAD, UNKNOWN, BEGIN, SEPARATOR, MASK = range(5)
"""Ids of the special tokens in our own word pieces, in the order of `text_sample.SPECIAL`."""
assert len(SPECIAL["wordpiece"]) == MASK + 1
MASKED_SHARE, SHORT_SHARE, RANDOM_NEXT_SHARE = 0.15, 0.1, 0.5
"""Shares of masked words, of examples shorter than the context, and of second segments from elsewhere; as published."""
DUPLICATES = 10
"""How often each stretch of text is masked anew; the published data has the same factor."""


class MaskedExample(NamedTuple):
    """One pair of segments, padded; int64 arrays."""

    input_ids: Tokens
    """(length,)"""
    segment_ids: Tokens
    """(length,); 0 for the first segment, 1 for the second."""
    positions: Tokens
    """(predictions,); places of masked words, padded with 0, where the never masked `[CLS]` is."""
    word_ids: Tokens
    """(predictions,); the words that were there."""
    is_random_next: int
    """1 when the second segment does not follow on the first."""
    tokens: int
    """Inputs that are not padding; they come first."""


def masked_batch(examples: list[MaskedExample]) -> Batch:
    """Join examples of one length.

    Returns:
        int64 `input_ids` and `segment_ids` (batch, length), `positions` and `word_ids` (batch, predictions),
        `is_random_next` (batch,); bool `attended` (batch, length); `samples` and `tokens` as integers.
    """
    lengths = torch.tensor([example.tokens for example in examples])
    batch: Batch = {
        name: torch.from_numpy(np.stack([getattr(example, name) for example in examples]))
        for name in ("input_ids", "segment_ids", "positions", "word_ids")
    }
    batch["attended"] = torch.arange(batch["input_ids"].shape[1]) < lengths[:, None]
    batch["is_random_next"] = torch.tensor([example.is_random_next for example in examples])
    return batch | {"samples": len(examples), "tokens": sum(example.tokens for example in examples)}


def random_masked_batch(batch_size: int, length: int, predictions: int, vocabulary: int) -> Batch:
    """The same with random ids and full length, on torch's default device."""
    return {
        "input_ids": torch.randint(vocabulary, (batch_size, length)),
        "segment_ids": torch.randint(2, (batch_size, length)),
        "positions": torch.randint(1, length, (batch_size, predictions)),
        "word_ids": torch.randint(vocabulary, (batch_size, predictions)),
        "attended": torch.ones(batch_size, length, dtype=torch.bool),
        "is_random_next": torch.randint(2, (batch_size,)),
        "samples": batch_size,
        "tokens": batch_size * length,
    }


class MaskedWords(Dataset[MaskedExample]):
    """Examples made from a token file; each depends on its index alone."""

    def __init__(
        self,
        tokens: TokenFile,
        *,
        sequence_length: int,
        predictions: int,
        vocabulary: int,
        duplicates: int = DUPLICATES,
    ) -> None:
        """Examples of a file.

        Args:
            tokens: word pieces of the sample corpus.
            sequence_length: inputs per example, padding included.
            predictions: masked words per example at most.
            vocabulary: ids that replace words at random are below it.
            duplicates: times each stretch of text comes, masked anew.

        Raises:
            DataError: an id is outside the vocabulary, or there are too few.
        """
        check_vocabulary(tokens.read(0, tokens.length), vocabulary, tokens.path)
        self.tokens, self.sequence_length, self.predictions = tokens, sequence_length, predictions
        self.vocabulary, self.duplicates = vocabulary, duplicates
        self.words = sequence_length - 3  # [CLS] and two [SEP]
        self.stretches = (tokens.length - 1) // self.words
        if self.stretches < 1:
            raise DataError(
                f"{tokens.length} tokens are too few for sequences of {sequence_length}",
                where=tokens.path,
                expected=f"at least {self.words} + 1 token ids",
            )

    def __len__(self) -> int:
        return self.stretches * self.duplicates

    def __getitem__(self, index: int) -> MaskedExample:
        """One example."""
        generator = np.random.default_rng(index)
        first, second, is_random_next = self._segments(generator, index % self.stretches)
        ids = np.concatenate([[BEGIN], first, [SEPARATOR], second, [SEPARATOR]])
        places = np.flatnonzero(ids > MASK)
        wanted = min(self.predictions, max(1, round(MASKED_SHARE * len(ids))), len(places))
        chosen = np.sort(generator.choice(places, wanted, replace=False))
        word_ids = ids[chosen]
        ids[chosen] = self._replacements(generator, word_ids)
        segments = np.arange(len(ids)) >= len(first) + 2
        return MaskedExample(
            input_ids=padded(ids, self.sequence_length),
            segment_ids=padded(segments.astype(np.int64), self.sequence_length),
            positions=padded(chosen, self.predictions),
            word_ids=padded(word_ids, self.predictions),
            is_random_next=int(is_random_next),
            tokens=len(ids),
        )

    def _segments(self, generator: np.random.Generator, stretch: int) -> tuple[Tokens, Tokens, bool]:
        total = self.words
        if generator.random() < SHORT_SHARE:
            total = int(generator.integers(2, self.words + 1))
        split = int(generator.integers(1, total))
        start = stretch * self.words
        is_random_next = bool(generator.random() < RANDOM_NEXT_SHARE)
        after = int(generator.integers(self.tokens.length - total)) if is_random_next else start + split
        return self.tokens.read(start, start + split), self.tokens.read(after, after + total - split), is_random_next

    def _replacements(self, generator: np.random.Generator, words: Tokens) -> Tokens:
        """Of the chosen words 80 % become `[MASK]`, 10 % another word, 10 % stay."""
        lot = generator.random(len(words))
        others = generator.integers(MASK + 1, self.vocabulary, len(words))
        return np.where(lot < 0.8, MASK, np.where(lot < 0.9, others, words))  # noqa: PLR2004 - the published shares


def padded(values: NDArray[np.int64], length: int) -> Tokens:
    """`values` followed by zeros."""
    return np.pad(values, (0, length - len(values)))

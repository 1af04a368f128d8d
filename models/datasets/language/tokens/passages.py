"""A text in few long passages, for models that read one from beginning to end."""

from __future__ import annotations

import math

import numpy as np
from torch.utils.data import Dataset

from models.datasets.base import DataError
from models.datasets.language.tokens.next_token import IGNORED, TokenExample
from models.datasets.language.tokens.token_stream import TokenFile, check_vocabulary


class Passages(Dataset[TokenExample]):
    """Passages one after another from a token file; every id but the first is a target once."""

    def __init__(self, tokens: TokenFile, *, length: int, vocabulary: int) -> None:
        """Passages of the whole file.

        Args:
            tokens: where the ids are.
            length: inputs per passage; the last one is padded with zeros, which nothing is predicted from.
            vocabulary: ids must be below it.

        Raises:
            DataError: the file holds fewer than two ids.
        """
        self.tokens, self.length, self.vocabulary = tokens, length, vocabulary
        if tokens.length < 2:  # noqa: PLR2004 - an input and its target
            raise DataError(f"{tokens.length} tokens are too few", where=tokens.path, expected="at least two token ids")

    def __len__(self) -> int:
        return math.ceil((self.tokens.length - 1) / self.length)

    def __getitem__(self, index: int) -> TokenExample:
        """One passage.

        Raises:
            DataError: an id is outside the vocabulary.
        """
        start = index * self.length
        ids = self.tokens.read(start, start + self.length + 1)
        check_vocabulary(ids, self.vocabulary, self.tokens.path, f"From token {start} on,")
        missing = self.length + 1 - len(ids)
        inputs = np.pad(ids[:-1], (0, missing))
        targets = np.pad(ids[1:], (0, missing), constant_values=IGNORED)
        return TokenExample(inputs, targets, len(ids) - 1)

"""Short documents laid end to end and cut into sequences."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from models.datasets.base import DataError
from models.datasets.language.tokens.next_token import IGNORED, TokenExample
from models.datasets.language.tokens.token_stream import check_vocabulary


class Packed(Dataset[TokenExample]):
    """Sequences of one length; the rest at the end is left out.

    Within a sequence every token but the first is a target, also those of prompts, as in Meta's llama-recipes.
    """

    def __init__(self, documents: Iterable[list[int]], *, sequence_length: int, vocabulary: int, where: Path) -> None:
        """Sequences of all documents, which are kept in memory.

        Args:
            documents: token ids, in order.
            sequence_length: inputs per sequence.
            vocabulary: ids must be below it.
            where: the file they come from, for errors.

        Raises:
            DataError: an id is outside the vocabulary, or there are too few for one sequence.
        """
        ids = np.concatenate([np.zeros(0, dtype=np.int32), *(np.array(one, dtype=np.int32) for one in documents)])
        check_vocabulary(ids, vocabulary, where)
        count = len(ids) // sequence_length
        if count < 1:
            raise DataError(f"{len(ids)} tokens are too few", where=where, expected=f"at least {sequence_length}")
        self.sequences = ids[: count * sequence_length].reshape(count, sequence_length)

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> TokenExample:
        """One sequence."""
        ids = self.sequences[index].astype(np.int64)
        return TokenExample(ids, np.append(ids[1:], IGNORED), len(ids))

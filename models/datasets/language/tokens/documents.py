"""Token ids of documents, one after another, and their split into what is trained on and what is held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from models.datasets.base import DataError, Datasets
from models.datasets.language.tokens.next_token import Sequences
from models.datasets.language.tokens.token_stream import TokenFile


@dataclass(kw_only=True, slots=True)
class Documents:
    """A file of token ids that knows where its documents end."""

    tokens: TokenFile
    ends: NDArray[np.int64]
    """(documents,): ids up to the end of each, itself included."""

    def parts(self, shares: Sequence[float]) -> list[TokenFile]:
        """Neighbouring parts of whole documents, as many of the documents as `shares` say, each rounded.

        Args:
            shares: of any sum, such as Megatron-LM's (949, 50, 1).
        """
        borders = [round(done / sum(shares) * len(self.ends)) for done in accumulate(shares, initial=0.0)]
        starts = [int(self.ends[border - 1]) if border else 0 for border in borders]
        return [self.tokens.part(start, stop) for start, stop in pairwise(starts)]

    def datasets(self, shares: Sequence[float], *, sequence_length: int, vocabulary: int) -> Datasets:
        """Sequences of the first part to train on, of the second to evaluate on; further parts are left alone.

        Raises:
            DataError: a part holds no whole sequence; says how many documents and ids there are.
        """
        parts = self.parts(shares)[:2]
        if min(part.length for part in parts) <= sequence_length:
            raise DataError(
                f"{len(self.ends):,} documents of {self.tokens.length:,} ids, split {shares}, leave a part too short",
                where=self.tokens.path,
                expected=f"at least {sequence_length} + 1 token ids in each of the first two parts",
            )
        return Datasets(*(Sequences(part, sequence_length=sequence_length, vocabulary=vocabulary) for part in parts))

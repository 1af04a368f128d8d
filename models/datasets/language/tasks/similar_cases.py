"""Pairs of law cases, of which the first of each two is the more alike: CAIL2019-SCM as ByteMLPerf has tokenised it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from models.datasets.base import Batch
from models.datasets.language.tokens.token_stream import Tokens, check_vocabulary
from models.datasets.reading import Reader

TOKENS, SEGMENTS = "batch_token_ids.npy", "batch_segment_ids.npy"
LAYOUT = (
    f"<root>/{TOKENS} and <root>/{SEGMENTS}, each (rows, length), integers or whole floating-point numbers, zeros as "
    "padding; row 2 i is a case with its more similar one, row 2 i + 1 the same case with the other"
)
PADDING, BEGIN, SEPARATOR = range(3)
"""Ids of the sample."""
PAIRS = 128


class CasePair(NamedTuple):
    """Two texts in one input; int64 arrays (length,)."""

    input_ids: Tokens
    segment_ids: Tokens
    """0 for the first text, 1 for the second, 0 for padding."""


class CasePairs(Dataset[CasePair]):
    """The rows of the two files."""

    def __init__(self, root: Path, *, length: int, vocabulary: int, source: str) -> None:
        """Open and check them.

        Raises:
            DataError: a file is missing or damaged, has another shape or type, or an odd number of rows.
        """
        reader = Reader(expected=LAYOUT, source=source)
        self.ids, self.segments = (_opened(root / name, length, reader) for name in (TOKENS, SEGMENTS))
        if self.ids.shape != self.segments.shape:
            raise reader.error(f"It is of {self.segments.shape}, {TOKENS} of {self.ids.shape}", root / SEGMENTS)
        if len(self.ids) % 2 or not len(self.ids):
            raise reader.error(f"{len(self.ids)} rows are no pairs", root / TOKENS)
        self.path, self.length, self.vocabulary, self.reader = root / TOKENS, length, vocabulary, reader

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> CasePair:
        """One row.

        Raises:
            DataError: a value is no whole number, no token, or no segment; says of which row.
        """
        rows = [np.asarray(one[index]) for one in (self.ids, self.segments)]
        if any((row != np.floor(row)).any() for row in rows):
            raise self.reader.error(f"Row {index} holds what is no whole number", self.path)
        ids, segments = (np.pad(row.astype(np.int64), (0, self.length - len(row))) for row in rows)
        check_vocabulary(ids, self.vocabulary, self.path, f"Row {index}: token")
        if not set(np.unique(segments)) <= {0, 1}:
            raise self.reader.error(f"Row {index}: a segment is neither 0 nor 1", self.path.with_name(SEGMENTS))
        return CasePair(ids, segments)


def _opened(path: Path, length: int, reader: Reader) -> NDArray[Any]:
    with reader.reading(path, "Not a readable .npy without pickled objects"):
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim != 2 or array.shape[1] > length or array.dtype.kind not in "iuf":  # noqa: PLR2004 - rows by length
        raise reader.error(f"It is {array.dtype} of {array.shape}, not rows of up to {length} numbers", path)
    return array


class WordPairs(Dataset[CasePair]):
    """Made-up texts of random words: the more similar one holds the first one's words in another order."""

    def __init__(self, *, length: int, vocabulary: int, seed: int) -> None:
        self.length, self.vocabulary, self.seed = length, vocabulary, seed

    def __len__(self) -> int:
        return 2 * PAIRS

    def __getitem__(self, index: int) -> CasePair:
        """One row; the two of a pair begin with the same text."""
        draw = np.random.default_rng([self.seed, index // 2])
        count = int(draw.integers(self.length // 4, (self.length - 3) // 2 + 1))
        first = draw.integers(SEPARATOR + 1, self.vocabulary, count)
        other = draw.integers(SEPARATOR + 1, self.vocabulary, count)
        second = other if index % 2 else draw.permutation(first)
        ids = np.concatenate([[BEGIN], first, [SEPARATOR], second, [SEPARATOR]])
        segments = (np.arange(len(ids)) >= count + 2).astype(np.int64)
        free = (0, self.length - len(ids))
        return CasePair(np.pad(ids, free), np.pad(segments, free))


def case_batch(examples: list[CasePair]) -> Batch:
    """Join rows: int64 `input_ids` and `segment_ids` (batch, length), `samples` and `tokens` as integers."""
    ids, segments = (torch.from_numpy(np.stack(part)) for part in zip(*examples, strict=True))
    tokens = sum(int(np.count_nonzero(one.input_ids != PADDING)) for one in examples)
    return {"input_ids": ids, "segment_ids": segments, "samples": len(examples), "tokens": tokens}

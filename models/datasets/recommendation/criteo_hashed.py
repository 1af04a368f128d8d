"""Criteo's rows as TensorFlow's wide & deep takes them, scaled and hashed: ByteMLPerf's `open_criteo_kaggle`.

Counts are brought to 0 to 1 by the least and the greatest of the whole file, missing ones being 0. Ids are TensorFlow's
`to_hash_bucket_fast` of their text, FarmHash's Fingerprint64 modulo the buckets; a missing one is the empty text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from models.datasets.reading import Reader
from models.datasets.recommendation.clicks import Clicks
from models.datasets.recommendation.criteo_tsv import COUNTS, DIGITS, IDS, criteo_lines

FILES = {"eval.csv": ",", "eval.tsv": "\t"}
"""Names, and what stands between the values."""
LAYOUT = (
    "<root>/eval.csv, or eval.tsv with tabs instead of commas: a line for each row, without a heading, of label, "
    f"{COUNTS} integers and {IDS} ids of {DIGITS} hexadecimal digits, empty where a value is missing"
)
WORD = np.uint64
K2 = 0x9AE16A3B2F90404F
"""FarmHash's second constant, and its fingerprint of nothing."""
SHORTEST, LONGEST = 8, 16
"""Bytes of the texts that `fingerprint` takes."""


class HashedClicks(Dataset[Clicks]):
    """The rows of one file, in memory: 160 bytes each, twice as much while they are read."""

    def __init__(self, root: Path, *, buckets: int, source: str) -> None:
        """Read all of it.

        Args:
            root: holds a file of `LAYOUT`.
            buckets: of each kind of ids.
            source: where the data set is to be had.

        Raises:
            DataError: there is no such file, or a line is not of that form.
        """
        reader = Reader(expected=LAYOUT, source=source)
        path = next((root / name for name in FILES if (root / name).is_file()), root / next(iter(FILES)))
        parts: list[tuple[NDArray[Any], ...]] = []
        with reader.reading(path, "Not Criteo's form"):
            for batch in criteo_lines(path, delimiter=FILES[path.name]):
                parts.append(_columns(batch, sum(len(one[2]) for one in parts), buckets, path, reader))
        if not parts:
            raise reader.error("Empty", path)
        counts, ids, clicked = (np.concatenate(column) for column in zip(*parts, strict=True))
        least, span = counts.min(axis=0), counts.max(axis=0) - counts.min(axis=0)
        counts -= least
        self.clicks = Clicks(np.divide(counts, span, out=counts, where=span > 0), ids, clicked)

    def __len__(self) -> int:
        return len(self.clicks.clicked)

    def __getitem__(self, index: int) -> Clicks:
        return self._block([index])

    def __getitems__(self, indices: list[int]) -> list[Clicks]:
        """A whole batch as one block; torch's loader asks for it where there is this method."""
        return [self._block(indices)]

    def _block(self, indices: list[int]) -> Clicks:
        dense, ids, clicked = self.clicks
        return Clicks(dense[indices], ids[indices].astype(np.int64), clicked[indices])


def _columns(batch: Any, done: int, buckets: int, path: Path, reader: Reader) -> tuple[NDArray[Any], ...]:
    """Counts, hashed ids and labels of one block; `done` rows were before it."""
    labels = batch.column(0).to_numpy(zero_copy_only=False)
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        raise reader.error(f"Line {done + int(wrong.argmax()) + 1}: the label is neither 0 nor 1", path)
    counts = np.stack([batch.column(1 + i).fill_null(0).to_numpy() for i in range(COUNTS)], axis=1)
    ids = [_hashed(batch.column(1 + COUNTS + i), done, path, reader) % WORD(buckets) for i in range(IDS)]
    return counts.astype(np.float32), np.stack(ids, axis=1).astype(np.int32), labels.astype(np.float32)


def _hashed(texts: Any, done: int, path: Path, reader: Reader) -> NDArray[np.uint64]:
    import pyarrow as pa
    from pyarrow import compute

    missing = texts.is_null().to_numpy(zero_copy_only=False)
    letters = texts.fill_null("0" * DIGITS).cast(pa.binary())
    wrong = compute.binary_length(letters).to_numpy() != DIGITS
    if wrong.any():
        raise reader.error(f"Line {done + int(wrong.argmax()) + 1}: an id has not {DIGITS} digits", path)
    words = np.frombuffer(b"".join(letters.to_pylist()), "<u8")
    return np.where(missing, WORD(K2), fingerprint(words, words, DIGITS))


def fingerprint(first: NDArray[np.uint64], last: NDArray[np.uint64], length: int) -> NDArray[np.uint64]:
    """FarmHash's Fingerprint64 of texts of 8 to 16 bytes (Pike, github.com/google/farmhash).

    Args:
        first: the first eight bytes of each, the lowest first.
        last: the last eight; of texts of eight bytes the same.
        length: of every text, in bytes.
    """
    assert SHORTEST <= length <= LONGEST
    factor = WORD((K2 + 2 * length) % 2**64)
    a = first + WORD(K2)
    c = _rotated(last, 37) * factor + a
    d = (_rotated(a, 25) + last) * factor
    mixed = (c ^ d) * factor
    mixed ^= mixed >> WORD(47)
    mixed = (d ^ mixed) * factor
    mixed ^= mixed >> WORD(47)
    result: NDArray[np.uint64] = mixed * factor
    return result


def _rotated(values: NDArray[np.uint64], places: int) -> NDArray[np.uint64]:
    return (values >> WORD(places)) | (values << WORD(64 - places))

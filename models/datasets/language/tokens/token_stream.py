"""Long runs of token ids on disk."""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.base import DataError
from models.datasets.reading import Reader

Tokens = NDArray[np.int64]
FLAT_LAYOUT = "a NumPy .npy file with one dimension of integer token ids"


@dataclass(kw_only=True, slots=True, weakref_slot=True)
class TokenFile:
    """Token ids in a file, opened on first use and read where they are asked for.

    Not memory-mapped: a map of a file that became shorter meanwhile ends the process with SIGBUS, without a word.
    """

    path: Path
    dtype: np.dtype[Any]
    offset_bytes: int
    """Where the ids begin."""
    length: int
    """Number of ids."""
    _descriptor: int | None = field(default=None, init=False, repr=False)

    def read(self, start: int, stop: int) -> Tokens:
        """Ids `start` (inclusive) to `stop` (exclusive) as int64; those within the file.

        Raises:
            DataError: the file cannot be read there, or became shorter than it was.
        """
        start, stop = max(0, start), min(stop, self.length)
        wanted = max(0, stop - start) * self.dtype.itemsize
        with Reader(expected=FLAT_LAYOUT).reading(self.path, f"Token ids {start} to {stop} cannot be read"):
            content = self._content(self.offset_bytes + start * self.dtype.itemsize, wanted)
            if len(content) < wanted:
                raise EOFError(f"the file ends {wanted - len(content)} bytes before")
            return np.frombuffer(content, dtype=self.dtype).astype(np.int64)

    def _content(self, offset: int, size: int) -> bytes:
        """Bytes of the file; fewer at its end. Loader processes share the open file and each says where it reads."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY)
            weakref.finalize(self, os.close, self._descriptor)
        parts = []
        while size > 0 and (part := os.pread(self._descriptor, size, offset)):  # at most 2 GiB at a time
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def part(self, start: int, stop: int) -> TokenFile:
        """Ids `start` (inclusive) to `stop` (exclusive), for themselves."""
        offset = self.offset_bytes + start * self.dtype.itemsize
        return TokenFile(path=self.path, dtype=self.dtype, offset_bytes=offset, length=stop - start)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the description alone: an open file does not travel to another process."""
        return _token_file, (self.path, self.dtype, self.offset_bytes, self.length)


def _token_file(path: Path, dtype: np.dtype[Any], offset_bytes: int, length: int) -> TokenFile:
    return TokenFile(path=path, dtype=dtype, offset_bytes=offset_bytes, length=length)


def open_npy(path: Path, *, source: str = "") -> TokenFile:
    """The token ids of a flat `.npy` file.

    Raises:
        DataError: no such file, not a complete `.npy`, or not one dimension of integers.
    """
    reader = Reader(expected=FLAT_LAYOUT, source=source)
    if not path.exists():
        raise reader.error("No such token file", path)
    with reader.reading(path, "Not a readable .npy"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap) or array.ndim != 1 or array.dtype.kind not in "iu":
        found = f"{array.ndim} dimension(s) of {array.dtype}" if isinstance(array, np.ndarray) else "an archive"
        raise reader.error(f"Token file holds {found}", path)
    return TokenFile(path=path, dtype=array.dtype, offset_bytes=array.offset, length=array.size)


def check_vocabulary(ids: Tokens, vocabulary: int, where: Path | str, what: str = "Token") -> None:
    """Refuse ids that the model has no embedding for; `what` says whose they are.

    Raises:
        DataError: an id is negative or at least `vocabulary`.
    """
    if ids.size and (ids.min() < 0 or ids.max() >= vocabulary):
        raise DataError(
            f"{what} ids reach from {ids.min()} to {ids.max()}",
            where=where,
            expected=f"ids from 0 to {vocabulary - 1} (model.architecture.vocabulary is {vocabulary})",
        )

"""Long runs of token ids on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.base import DataError

Tokens = NDArray[np.int64]
FLAT_LAYOUT = "a NumPy .npy file with one dimension of integer token ids"


@dataclass(kw_only=True, slots=True)
class TokenFile:
    """Token ids in a file, memory-mapped on first use: each loader process maps it anew, none copies it."""

    path: Path
    dtype: np.dtype[Any]
    offset_bytes: int
    """Where the ids begin."""
    length: int
    """Number of ids."""
    _mapped: NDArray[Any] | None = field(default=None, init=False, repr=False)

    def read(self, start: int, stop: int) -> Tokens:
        """Ids `start` (inclusive) to `stop` (exclusive) as int64."""
        if self._mapped is None:
            self._mapped = np.memmap(
                self.path, dtype=self.dtype, mode="r", offset=self.offset_bytes, shape=(self.length,)
            )
        return np.asarray(self._mapped[start:stop], dtype=np.int64)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the description alone; a memory map would be pickled with its content."""
        return _token_file, (self.path, self.dtype, self.offset_bytes, self.length)


def _token_file(path: Path, dtype: np.dtype[Any], offset_bytes: int, length: int) -> TokenFile:
    return TokenFile(path=path, dtype=dtype, offset_bytes=offset_bytes, length=length)


def open_npy(path: Path, *, source: str = "") -> TokenFile:
    """The token ids of a flat `.npy` file.

    Raises:
        DataError: no such file, not a complete `.npy`, or not one dimension of integers.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError("No such token file", where=path, expected=FLAT_LAYOUT, source=source) from error
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"Not a readable .npy ({error})", where=path, expected=FLAT_LAYOUT, source=source) from error
    if not isinstance(array, np.memmap) or array.ndim != 1 or array.dtype.kind not in "iu":
        found = f"{array.ndim} dimension(s) of {array.dtype}" if isinstance(array, np.ndarray) else "an archive"
        raise DataError(f"Token file holds {found}", where=path, expected=FLAT_LAYOUT, source=source)
    return TokenFile(path=path, dtype=array.dtype, offset_bytes=array.offset, length=array.size)


def check_vocabulary(ids: Tokens, vocabulary: int, where: Path) -> None:
    """Refuse ids that the model has no embedding for.

    Raises:
        DataError: an id is negative or at least `vocabulary`.
    """
    if ids.size and (ids.min() < 0 or ids.max() >= vocabulary):
        raise DataError(
            f"Token ids reach from {ids.min()} to {ids.max()}",
            where=where,
            expected=f"ids from 0 to {vocabulary - 1} (model.architecture.vocabulary is {vocabulary})",
        )

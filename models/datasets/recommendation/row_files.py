"""Rows of numbers on disk of which thousands of scattered rows are read at once."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.reading import Reader

Array = NDArray[Any]
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
LOCAL_HEADER = struct.Struct("<26xHH")
"""Of a zip member: lengths of its name and of its extra field, which the member's bytes follow."""


@dataclass(kw_only=True)
class RowFile:
    """Rows of one width in a file, opened on first use.

    Memory-mapped, unlike token files: a read call for each of a batch's thousands of rows takes ten times as long. That
    the file is as long as it must be is checked on opening.
    """

    path: Path
    dtype: np.dtype[Any]
    offset: int
    """Bytes before the first row."""
    shape: tuple[int, int]
    """Rows, width."""
    _map: Array | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, indices: Any) -> Array:
        """The rows of these numbers, (indices, width)."""
        if self._map is None:
            self._map = np.memmap(self.path, self.dtype, mode="r", offset=self.offset, shape=self.shape)
        return np.asarray(self._map[indices])

    def __getstate__(self) -> dict[str, Any]:
        """The description alone: a map does not travel to another process."""
        return self.__dict__ | {"_map": None}


def npy_rows(path: Path, reader: Reader, *, kinds: str, width: int) -> RowFile:
    """The rows of a `.npy` file.

    Args:
        path: the file.
        reader: whose error to raise.
        kinds: NumPy's letters of the types that are allowed, `iu` for integers.
        width: values of a row.

    Raises:
        DataError: no such file, cut off, no array of two dimensions, or another type or width.
    """
    with reader.reading(path, "Not a readable .npy"), path.open("rb") as file:
        return _described(path, file, reader, kinds=kinds, width=width)


def npz_rows(path: Path, reader: Reader, *, kinds: str, widths: list[int]) -> list[RowFile]:
    """The arrays `0`, `1` … of an uncompressed `.npz` file, as `numpy.savez` writes it.

    Raises:
        DataError: as `npy_rows`; an array is missing or compressed.
    """
    columns = []
    with reader.reading(path, "Not a readable .npz"), zipfile.ZipFile(path) as archive, path.open("rb") as file:
        members = {info.filename: info for info in archive.infolist()}
        for number, width in enumerate(widths):
            info = members.get(f"{number}.npy")
            if info is None or info.compress_type != zipfile.ZIP_STORED:
                raise reader.error(f"Array {number} is {'missing' if info is None else 'compressed'}", path)
            file.seek(info.header_offset)
            name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
            file.seek(name + extra, 1)
            columns.append(_described(path, file, reader, kinds=kinds, width=width, what=f"Array {number}"))
    return columns


def raw_rows(path: Path, dtype: Any, width: int, reader: Reader) -> RowFile:
    """The rows of a file of bare numbers."""
    kind = np.dtype(dtype)
    with reader.reading(path):
        rows, rest = divmod(path.stat().st_size, kind.itemsize * width)
    if rest or not rows:
        raise reader.error(f"{path.stat().st_size} bytes are no whole rows", path)
    return RowFile(path=path, dtype=kind, offset=0, shape=(rows, width))


def _described(path: Path, file: Any, reader: Reader, *, kinds: str, width: int, what: str = "It") -> RowFile:
    """The column whose header `file` stands before."""
    shape, fortran, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    if len(shape) != 2 or shape[1] != width or fortran or shape[0] == 0:  # noqa: PLR2004 (rows by width)
        order = " by columns" if fortran else ""
        raise reader.error(f"{what} has the shape {shape}{order}, not (rows, {width})", path)
    if dtype.kind not in kinds:
        raise reader.error(f"{what} is of {dtype}", path)
    offset, size = file.tell(), dtype.itemsize * shape[0] * width
    if offset + size > path.stat().st_size:
        raise reader.error(f"{what} is cut off: {path.stat().st_size} bytes instead of {offset + size}", path)
    return RowFile(path=path, dtype=dtype, offset=offset, shape=(shape[0], width))

"""Integer arrays in an `.npz`, a row at a time: beside another program's pickled columns, which are never loaded."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.language.tokens.token_stream import TokenFile, Tokens
from models.datasets.reading import Reader

LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of a member in a zip file: its mark, and the lengths of name and extra field, which follow it."""
CHUNK = 1 << 20
"""Numbers unpacked at once."""


@dataclass(kw_only=True, slots=True)
class Unpacked:
    """Numbers of a compressed member, kept in memory."""

    path: Path
    numbers: NDArray[np.int32]

    def read(self, start: int, stop: int) -> Tokens:
        """Numbers `start` (inclusive) to `stop` (exclusive) as int64."""
        return self.numbers[start:stop].astype(np.int64)


@dataclass(kw_only=True, slots=True)
class NpzColumn:
    """One array of the file: a row is one number or `width` of them."""

    numbers: TokenFile | Unpacked
    rows: int
    width: int | None

    def row(self, index: int) -> Tokens:
        """Row `index`: int64 (width,), or (1,) of an array with one dimension.

        Raises:
            DataError: the file cannot be read there.
        """
        width = self.width or 1
        return self.numbers.read(index * width, (index + 1) * width)


def npz_columns(path: Path, widths: dict[str, int | None], reader: Reader) -> dict[str, NpzColumn]:
    """Arrays of an `.npz` by their names, with one number of rows.

    Stored members, as `numpy.savez` writes them, are read where they lie; compressed ones are unpacked into memory as
    int32.

    Args:
        path: the file.
        widths: the arrays wanted, with the length of a row; None for an array with one dimension.
        reader: of the data set; says what is expected.

    Raises:
        DataError: no such file, not a complete `.npz`, an array is missing, of another shape or not of integers.
    """
    with reader.reading(path, "Not a readable .npz"), zipfile.ZipFile(path) as archive:
        columns = {name: _column(archive, path, name, width, reader) for name, width in widths.items()}
    rows = {name: column.rows for name, column in columns.items()}
    if len(set(rows.values())) > 1 or not all(rows.values()):
        raise reader.error(f"Arrays of {rows} rows instead of one number", path)
    return columns


def _column(archive: zipfile.ZipFile, path: Path, name: str, width: int | None, reader: Reader) -> NpzColumn:
    if f"{name}.npy" not in archive.namelist():
        found = ", ".join(member.removesuffix(".npy") for member in archive.namelist()) or "none"
        raise reader.error(f"Array {name} is missing (found {found})", path)
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        shape, by_columns, dtype = _header(member)
        begin = member.tell()
        if dtype.kind not in "iub" or by_columns or shape[1:] != (() if width is None else (width,)) or not shape:
            order = ", column by column" if by_columns else ""
            wanted = "(rows,)" if width is None else f"(rows, {width})"
            raise reader.error(f"{name} is {dtype} of the shape {shape}{order}, not integers of {wanted}", path)
        count = prod(shape)
        if info.file_size != begin + count * dtype.itemsize:
            raise reader.error(f"{name} has {info.file_size - begin:,} bytes, not those of {shape} {dtype}", path)
        if info.compress_type != zipfile.ZIP_STORED:
            return NpzColumn(numbers=_unpacked(member, path, dtype, count), rows=shape[0], width=width)
    offset = _place(path, info) + begin
    return NpzColumn(
        numbers=TokenFile(path=path, dtype=dtype, offset_bytes=offset, length=count), rows=shape[0], width=width
    )


def _header(member: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it lies column by column, and type of the `.npy` that begins here."""
    version = np.lib.format.read_magic(member)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of NumPy's format")
    return readers[version](member)


def _place(path: Path, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a stored member begin in the file."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        _, name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return info.header_offset + LOCAL_HEADER.size + int(name) + int(extra)


def _unpacked(member: Any, path: Path, dtype: np.dtype[Any], count: int) -> Unpacked:
    numbers = np.empty(count, dtype=np.int32)
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        part = np.frombuffer(member.read((stop - start) * dtype.itemsize), dtype=dtype)
        numbers[start:stop] = part
        if not np.array_equal(numbers[start:stop], part):
            raise ValueError("numbers beyond 32 bits")
    member.read(1)  # at its end the checksum is looked at
    return Unpacked(path=path, numbers=numbers)

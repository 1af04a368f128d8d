"""Arrays of integers inside an `.npz` file that are read row by row, whatever their size.

`numpy.savez` stores arrays as they are, so a row can be read where it lies; `numpy.load` would bring all of them into
memory, 4.7 GB of CNN/DailyMail in every process.
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.datasets.language.tokens.token_stream import TokenFile, Tokens
from models.datasets.reading import Reader

LOCAL_HEADER = struct.Struct("<26xHH")
"""Of a file in a zip archive: the lengths of its name and of what follows the name, before its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArray:
    """A matrix of integers on disk."""

    tokens: TokenFile
    rows: int
    columns: int

    def row(self, number: int) -> Tokens:
        """One row as int64.

        Raises:
            DataError: the file cannot be read there.
        """
        return self.tokens.read(number * self.columns, (number + 1) * self.columns)


def stored_arrays(path: Path, names: tuple[str, ...], *, reader: Reader) -> tuple[StoredArray, ...]:
    """The named matrices of an `.npz`.

    Raises:
        DataError: the file or an array is missing, damaged, compressed or no matrix of integers, or they differ in
            rows.
    """
    with reader.reading(path, "Not a readable .npz"), zipfile.ZipFile(path) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    if missing := [name for name in names if name not in members]:
        raise reader.error(f"No array called {', '.join(missing)}, only {', '.join(members) or 'none'}", path)
    found = tuple(_stored_array(path, name, members[name], reader) for name in names)
    if len({one.rows for one in found}) > 1 or not found[0].rows:
        rows = ", ".join(f"{name} {one.rows}" for name, one in zip(names, found, strict=True))
        raise reader.error(f"Arrays of no or of different numbers of rows: {rows}", path)
    return found


def _stored_array(path: Path, name: str, member: zipfile.ZipInfo, reader: Reader) -> StoredArray:
    if member.compress_type != zipfile.ZIP_STORED:
        raise reader.error(f"{name} is compressed; `numpy.savez` writes it so that it can be read in parts", path)
    with reader.reading(path, f"Array {name} cannot be read"), path.open("rb") as file:
        file.seek(member.header_offset)
        start = member.header_offset + LOCAL_HEADER.size
        start += sum(LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size)))
        file.seek(start)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = read(file)
        content = file.tell()
    if len(shape) != 2 or by_columns or dtype.kind not in "iu":  # noqa: PLR2004 - examples and places
        raise reader.error(f"{name} has shape {shape} and type {dtype}", path)
    rows, columns = shape
    if member.file_size - (content - start) != rows * columns * dtype.itemsize:
        raise reader.error(f"Array {name} is truncated", path)
    tokens = TokenFile(path=path, dtype=dtype, offset_bytes=content, length=rows * columns)
    return StoredArray(tokens=tokens, rows=rows, columns=columns)

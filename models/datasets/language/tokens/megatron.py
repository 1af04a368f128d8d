r"""Megatron-LM's indexed data: `<name>.bin` holds token ids, `<name>.idx` says where each document lies in it.

Layout of the index, little endian (Megatron-LM, `indexed_dataset`): 9 bytes `MMIDIDX\0\0`; uint64 version, 1; uint8
code of the ids' type; uint64 number of sequences n; uint64 number of document marks m; n x int32 sizes in ids;
n x int64 places in the .bin file in bytes; m x int64 marks, the first sequence of each document and n at the end.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.base import DataError, Datasets
from models.datasets.language.tokens.documents import Documents
from models.datasets.language.tokens.next_token import Sequences
from models.datasets.language.tokens.token_stream import TokenFile
from models.datasets.reading import Reader

MAGIC = b"MMIDIDX\x00\x00"
HEADER = struct.Struct("<QBQQ")
VERSION = 1
INTEGER_TYPES = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 8: np.uint16}
"""Type codes of token ids; the codes 6 and 7 are floating point and never ids."""
LAYOUT = "<root>/<name>.bin and <root>/<name>.idx as Megatron-LM's tools/preprocess_data.py (mmap) writes them"
PAIRS_LAYOUT = f"{LAYOUT}: a pair with `train` in its name and one with `validation`"


def megatron_documents(root: Path, *, source: str) -> Documents:
    """The one indexed data set in `root`.

    Raises:
        DataError: none or several, or files that are damaged or do not belong together.
    """
    return read_index(Reader(expected=LAYOUT, source=source).only(root, ".idx"), source=source)


def megatron_tokens(root: Path, *, source: str) -> TokenFile:
    """The ids of the one indexed data set in `root`, documents one after another.

    Raises:
        DataError: as `megatron_documents`.
    """
    return megatron_documents(root, source=source).tokens


def megatron_pairs(root: Path, *, sequence_length: int, vocabulary: int, source: str) -> Datasets:
    """Sequences of two indexed data sets in `root`, one with `train` in its name and one with `validation`.

    Raises:
        DataError: none or several of a kind, or files that are damaged or do not belong together.
    """
    reader = Reader(expected=PAIRS_LAYOUT, source=source)
    indexes = (reader.only(root, ".idx", containing=word) for word in ("train", "validation"))
    parts = (read_index(index, source=source).tokens for index in indexes)
    return Datasets(*(Sequences(part, sequence_length=sequence_length, vocabulary=vocabulary) for part in parts))


def read_index(path: Path, *, source: str = "") -> Documents:
    """Check an index against its data file and describe the ids.

    Raises:
        DataError: wrong magic, version or type, a truncated file, or documents that do not follow on one another.
    """
    reader = Reader(expected=LAYOUT, source=source)
    dtype, sizes, marks = _read_arrays(path, reader)
    data = path.with_suffix(".bin")
    if not data.is_file():
        raise reader.error("The data file beside the index is missing", data)
    length, size = int(sizes.sum()), data.stat().st_size
    if size != length * dtype.itemsize:
        raise reader.error(f"{size:,} bytes instead of the index's {length * dtype.itemsize:,}", data)
    ends = np.concatenate([[0], np.cumsum(sizes)])[marks[1:]]
    return Documents(tokens=TokenFile(path=data, dtype=dtype, offset_bytes=0, length=length), ends=ends)


def _read_arrays(path: Path, reader: Reader) -> tuple[np.dtype[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Type of the ids, sizes of the sequences, and documents' marks."""

    def refuse(problem: str) -> DataError:
        return reader.error(problem, path)

    with reader.reading(path):
        content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise refuse(f"Not a Megatron index: it begins with {content[: len(MAGIC)]!r}, not {MAGIC!r}")
    start = len(MAGIC) + HEADER.size
    if len(content) < start:
        raise refuse("Truncated index: the header is incomplete")
    version, code, sequences, count = HEADER.unpack_from(content, len(MAGIC))
    if version != VERSION:
        raise refuse(f"Index version {version} is unknown, only {VERSION} is")
    if code not in INTEGER_TYPES:
        raise refuse(f"Type code {code} is no integer type")
    needed = start + 12 * sequences + 8 * count
    if len(content) not in (needed, needed + sequences):  # the newest writers may add a byte per sequence, its modality
        raise refuse(f"Truncated index: {len(content):,} bytes instead of {needed:,}")
    sizes = np.frombuffer(content, dtype="<i4", count=sequences, offset=start).astype(np.int64)
    places = np.frombuffer(content, dtype="<i8", count=sequences, offset=start + 4 * sequences)
    marks = np.frombuffer(content, dtype="<i8", count=count, offset=start + 12 * sequences)
    dtype = np.dtype(INTEGER_TYPES[code]).newbyteorder("<")
    follow_on = np.concatenate([[0], np.cumsum(sizes)[:-1]]) * dtype.itemsize if sequences else places
    if (sizes < 0).any() or not np.array_equal(places, follow_on):
        raise refuse("The sequences' places do not follow on one another")
    if not count or marks[0] != 0 or marks[-1] != sequences or (np.diff(marks) < 0).any():
        raise refuse(f"The documents' marks do not rise from 0 to the {sequences:,} sequences")
    return dtype, sizes, marks

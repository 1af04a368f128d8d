r"""Megatron-LM's indexed data: `<name>.bin` holds token ids, `<name>.idx` says where each document lies in it.

Layout of the index, little endian (Megatron-LM, `indexed_dataset`): 9 bytes `MMIDIDX\0\0`; uint64 version, 1; uint8
code of the ids' type; uint64 number of sequences n; uint64 number of document marks m; n x int32 sizes in ids;
n x int64 places in the .bin file in bytes; m x int64 marks, the first sequence of each document and n at the end.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from models.datasets.base import DataError
from models.datasets.language.tokens.token_stream import TokenFile
from models.datasets.reading import Reader

MAGIC = b"MMIDIDX\x00\x00"
HEADER = struct.Struct("<QBQQ")
VERSION = 1
INTEGER_TYPES = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 8: np.uint16}
"""Type codes of token ids; the codes 6 and 7 are floating point and never ids."""
LAYOUT = "<root>/<name>.bin and <root>/<name>.idx as Megatron-LM's tools/preprocess_data.py (mmap) writes them"


def megatron_tokens(root: Path, *, source: str) -> TokenFile:
    """The ids of the one indexed data set in `root`, documents one after another.

    Raises:
        DataError: none or several, or files that are damaged or do not belong together.
    """
    return read_index(Reader(expected=LAYOUT, source=source).only(root, ".idx"), source=source)


def read_index(path: Path, *, source: str = "") -> TokenFile:
    """Check an index against its data file and describe the ids.

    Raises:
        DataError: wrong magic, version or type, a truncated file, or documents that do not follow on one another.
    """
    reader = Reader(expected=LAYOUT, source=source)

    def refuse(problem: str, where: Path = path) -> DataError:
        return reader.error(problem, where)

    with reader.reading(path):
        content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise refuse(f"Not a Megatron index: it begins with {content[: len(MAGIC)]!r}, not {MAGIC!r}")
    start = len(MAGIC) + HEADER.size
    if len(content) < start:
        raise refuse("Truncated index: the header is incomplete")
    version, code, sequences, marks = HEADER.unpack_from(content, len(MAGIC))
    if version != VERSION:
        raise refuse(f"Index version {version} is unknown, only {VERSION} is")
    if code not in INTEGER_TYPES:
        raise refuse(f"Type code {code} is no integer type")
    needed = start + 12 * sequences + 8 * marks
    if len(content) not in (needed, needed + sequences):  # the newest writers may add a byte per sequence, its modality
        raise refuse(f"Truncated index: {len(content):,} bytes instead of {needed:,}")
    sizes = np.frombuffer(content, dtype="<i4", count=sequences, offset=start).astype(np.int64)
    places = np.frombuffer(content, dtype="<i8", count=sequences, offset=start + 4 * sequences)
    dtype = np.dtype(INTEGER_TYPES[code]).newbyteorder("<")
    follow_on = np.concatenate([[0], np.cumsum(sizes)[:-1]]) * dtype.itemsize if sequences else places
    if (sizes < 0).any() or not np.array_equal(places, follow_on):
        raise refuse("The sequences' places do not follow on one another")
    data = path.with_suffix(".bin")
    if not data.is_file():
        raise refuse("The data file beside the index is missing", data)
    length, size = int(sizes.sum()), data.stat().st_size
    if size != length * dtype.itemsize:
        raise refuse(f"{size:,} bytes instead of the index's {length * dtype.itemsize:,}", data)
    return TokenFile(path=data, dtype=dtype, offset_bytes=0, length=length)

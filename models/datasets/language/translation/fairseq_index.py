r"""Sentences as fairseq's `preprocess` binarises them: ids in `<name>.bin`, where each sentence lies in `<name>.idx`.

Two layouts of the index, little endian (fairseq, `data/indexed_dataset.py`; NVIDIA's and FlagPerf's have the first):

- `TNTIDX\0\0`, of Lua's time, ids in the data file one too high: uint64 version, 1; uint64 code of the ids' type,
  their width; uint64 number of sentences n, of sizes n; (n + 1) x int64 first size of each; (n + 1) x int64 places in
  ids; n x int64 sizes in ids.
- `MMIDIDX\0\0`, memory-mapped: uint64 version, 1; uint8 code; uint64 n; n x int32 sizes in ids; n x int64 places in
  bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.datasets.language.tokens.token_stream import TokenFile, Tokens
from models.datasets.reading import Reader

OLD, MAPPED = b"TNTIDX\x00\x00", b"MMIDIDX\x00\x00"
OLD_HEADER, MAPPED_HEADER = struct.Struct("<QQQQQ"), struct.Struct("<QBQ")
VERSION = 1
INTEGER_TYPES: dict[int, type[Any]] = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 8: np.uint16}
"""Type codes of ids; 6 and 7 are floating point and never ids."""


class SentenceIndex(NamedTuple):
    """What an index says of its data file."""

    dtype: np.dtype[Any]
    places: NDArray[np.int64]
    """(sentences + 1,): where each begins, in ids; the last is the end."""
    raised: int
    """How much too high the ids in the file are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentences:
    """Sentences of one language, read where they are asked for."""

    tokens: TokenFile
    places: NDArray[np.int64]
    raised: int

    def __len__(self) -> int:
        return len(self.places) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Ids of each sentence, its end included."""
        return np.diff(self.places)

    def read(self, number: int) -> Tokens:
        """The ids of one sentence, its end included.

        Raises:
            DataError: the file cannot be read there.
        """
        return self.tokens.read(int(self.places[number]), int(self.places[number + 1])) - self.raised


def read_sentences(prefix: Path, *, reader: Reader) -> Sentences:
    """The sentences of `<prefix>.idx` and `<prefix>.bin`; the index is checked against its data file.

    Raises:
        DataError: a file is missing, truncated or of another kind, there is no sentence or an empty one, or the two
            files do not belong together.
    """
    path, data = (prefix.with_name(prefix.name + ending) for ending in (".idx", ".bin"))
    with reader.reading(path):
        content = path.read_bytes()
    if content.startswith(OLD):
        index = _old(content, path, reader)
    elif content.startswith(MAPPED):
        index = _mapped(content, path, reader)
    else:
        raise reader.error(f"No index of fairseq's: it begins with {content[: len(MAPPED)]!r}", path)
    if index.places[0] != 0 or (np.diff(index.places) < 1).any():
        raise reader.error("A sentence is empty, or the sentences do not follow on one another", path)
    with reader.reading(data):
        size = data.stat().st_size
    length = int(index.places[-1])
    if size != length * index.dtype.itemsize:
        raise reader.error(f"{size:,} bytes instead of the index's {length * index.dtype.itemsize:,}", data)
    tokens = TokenFile(path=data, dtype=index.dtype, offset_bytes=0, length=length)
    return Sentences(tokens=tokens, places=index.places, raised=index.raised)


def _old(content: bytes, path: Path, reader: Reader) -> SentenceIndex:
    start = len(OLD) + OLD_HEADER.size
    version, code, width, sentences, sizes = _header(OLD_HEADER, content, len(OLD), path, reader)
    dtype = _checked(version, code, sentences, path, reader)
    if width != dtype.itemsize or sizes != sentences:
        raise reader.error(f"Ids of {width} bytes and {sizes} sizes of {sentences} sentences do not fit", path)
    _complete(content, start + 8 * (3 * sentences + 2), path, reader)
    firsts, places = np.frombuffer(content, "<i8", 2 * (sentences + 1), start).reshape(2, -1).astype(np.int64)
    lengths = np.frombuffer(content, "<i8", sentences, start + 16 * (sentences + 1))
    if not np.array_equal(firsts, np.arange(sentences + 1)) or not np.array_equal(np.diff(places), lengths):
        raise reader.error("The sentences' sizes do not fit their places", path)
    return SentenceIndex(dtype, places, raised=1)


def _mapped(content: bytes, path: Path, reader: Reader) -> SentenceIndex:
    start = len(MAPPED) + MAPPED_HEADER.size
    version, code, sentences = _header(MAPPED_HEADER, content, len(MAPPED), path, reader)
    dtype = _checked(version, code, sentences, path, reader)
    _complete(content, start + 12 * sentences, path, reader)
    lengths = np.frombuffer(content, "<i4", sentences, start).astype(np.int64)
    places = np.concatenate([[0], np.cumsum(lengths)])
    said = np.frombuffer(content, "<i8", sentences, start + 4 * sentences)
    if not np.array_equal(said, places[:-1] * dtype.itemsize):
        raise reader.error("The sentences' sizes do not fit their places", path)
    return SentenceIndex(dtype, places, raised=0)


def _header(form: struct.Struct, content: bytes, start: int, path: Path, reader: Reader) -> tuple[int, ...]:
    if len(content) < start + form.size:
        raise reader.error("Truncated index: the header is incomplete", path)
    return form.unpack_from(content, start)


def _checked(version: int, code: int, sentences: int, path: Path, reader: Reader) -> np.dtype[Any]:
    if version != VERSION:
        raise reader.error(f"Index version {version} is unknown, only {VERSION} is", path)
    if code not in INTEGER_TYPES:
        raise reader.error(f"Type code {code} is no integer type", path)
    if sentences == 0:
        raise reader.error("No sentence", path)
    return np.dtype(INTEGER_TYPES[code]).newbyteorder("<")


def _complete(content: bytes, needed: int, path: Path, reader: Reader) -> None:
    if len(content) != needed:
        raise reader.error(f"Truncated index: {len(content):,} bytes instead of {needed:,}", path)

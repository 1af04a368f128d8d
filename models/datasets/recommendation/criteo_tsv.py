"""Criteo's tab-separated logs as columns that rows can be read from anywhere; made once and kept in the cache.

A line is the label, 13 integers and 26 ids of 8 hexadecimal digits, tabs between, empty where a value is missing.
Prepared as MLPerf does (torchrec's `npy_preproc_criteo`): missing values are 0, integers become log(x + 3). MLPerf then
numbers the ids anew by frequency over all days; here they stay what they are, to be taken modulo a table's rows.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.datasets.reading import Reader
from models.datasets.recommendation.row_files import RowFile, raw_rows

COUNTS, IDS, DIGITS = 13, 26, 8
SHIFT = 3
"""Added to an integer before its logarithm is taken. Kaggle's second column holds some -3, taken for -2 here."""
BLOCK_BYTES = 1 << 24
FORMAT = 1
"""Raise it when what is kept changes."""
NO_DIGIT = 255
HEXADECIMAL = np.full(256, NO_DIGIT, np.uint8)
"""Value of each digit."""
for _digits in (b"0123456789abcdef", b"0123456789ABCDEF"):
    HEXADECIMAL[list(_digits)] = np.arange(16)
FILES = {"dense": (np.float32, COUNTS), "labels": (np.uint8, 1), "sparse": (np.uint32, IDS)}
"""Type and width of each column."""


class TsvColumns(NamedTuple):
    """One file's columns."""

    dense: RowFile
    labels: RowFile
    sparse: list[RowFile]


def prepared_columns(path: Path, cache: Path, reader: Reader) -> TsvColumns:
    """The columns of a file, gzip or not; prepared on first use, by one process while the others wait.

    Raises:
        DataError: the file is damaged, a line is not of that form, or the cache cannot hold the columns.
    """
    from filelock import FileLock

    with reader.reading(path):
        size, changed = path.stat().st_size, path.stat().st_mtime_ns
    digest = hashlib.sha256(f"{FORMAT}:{path.resolve()}:{size}:{changed}".encode()).hexdigest()[:16]
    folder = cache / f"criteo_{digest}"
    with reader.reading(cache, "Columns of Criteo's logs cannot be kept in TOUCHSTONE_CACHE"):
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                _prepare(path, folder, reader)
    dense, labels, sparse = (raw_rows(folder / name, *form, reader) for name, form in FILES.items())
    return TsvColumns(dense, labels, [sparse])


def _prepare(path: Path, folder: Path, reader: Reader) -> None:
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".criteo_"))
    try:
        files = {name: (draft / name).open("wb") for name in FILES}
        for parts in _blocks(path, reader):
            for name, values in parts.items():
                files[name].write(np.ascontiguousarray(values, FILES[name][0]).data)
        for file in files.values():
            file.close()
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _blocks(path: Path, reader: Reader) -> Iterator[dict[str, NDArray[Any]]]:
    """The columns of a file, some thousand lines at a time."""
    done = 0
    with reader.reading(path, "Not Criteo's tab-separated form"):
        for batch in criteo_lines(path, delimiter="\t"):
            yield _columns(batch, done, path, reader)
            done += len(batch)
    if not done:
        raise reader.error("Empty", path)


def criteo_lines(path: Path, *, delimiter: str) -> Iterator[Any]:
    """The lines of a file, gzip or not, some thousand at a time: a `pyarrow.RecordBatch` of label, integers and ids."""
    import pyarrow as pa
    from pyarrow import csv

    names = ["label", *(f"count_{i}" for i in range(COUNTS)), *(f"id_{i}" for i in range(IDS))]
    types = {name: pa.string() if name.startswith("id_") else pa.int64() for name in names}
    stream = pa.input_stream(str(path), compression="gzip" if path.suffix.lower() == ".gz" else None)
    yield from csv.open_csv(
        stream,
        read_options=csv.ReadOptions(column_names=names, block_size=BLOCK_BYTES),
        parse_options=csv.ParseOptions(delimiter=delimiter, quote_char=False),
        convert_options=csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
    )


def _columns(batch: Any, done: int, path: Path, reader: Reader) -> dict[str, NDArray[Any]]:
    """One block's columns; `done` rows were before it."""
    labels = batch.column(0).to_numpy(zero_copy_only=False)
    _refuse((labels != 0) & (labels != 1), "the label is neither 0 nor 1", done, path, reader)
    counts = np.stack([batch.column(1 + i).fill_null(0).to_numpy() for i in range(COUNTS)], axis=1)
    _refuse(np.any(counts < -SHIFT, axis=1), f"an integer is below {-SHIFT}", done, path, reader)
    ids = np.stack([_hexadecimal(batch.column(1 + COUNTS + i), done, path, reader) for i in range(IDS)], axis=1)
    return {"dense": np.log(np.maximum(counts + SHIFT, 1)), "labels": labels[:, None], "sparse": ids}


def _hexadecimal(texts: Any, done: int, path: Path, reader: Reader) -> NDArray[np.uint32]:
    import pyarrow as pa
    from pyarrow import compute

    padded = compute.utf8_lpad(texts.fill_null("0"), DIGITS, "0")
    _refuse(compute.binary_length(padded).to_numpy() != DIGITS, "an id is too long", done, path, reader)
    letters = np.frombuffer(b"".join(padded.cast(pa.binary()).to_pylist()), np.uint8).reshape(-1, DIGITS)
    digits = HEXADECIMAL[letters]
    _refuse(np.any(digits == NO_DIGIT, axis=1), "an id is not hexadecimal", done, path, reader)
    pairs = (digits[:, ::2] << 4) | digits[:, 1::2]
    values: NDArray[np.uint32] = np.ascontiguousarray(pairs).view(">u4")[:, 0].astype(np.uint32)
    return values


def _refuse(wrong: NDArray[np.bool_], problem: str, done: int, path: Path, reader: Reader) -> None:
    """Raise for the first row that is wrong, if any."""
    if wrong.any():
        raise reader.error(f"Line {done + int(wrong.argmax()) + 1}: {problem}", path)

"""Criteo's click logs, day by day: MLPerf's prepared columns, or the tab-separated files they were made from.

Of the 24 days of the Terabyte logs the last one's first half is evaluated on, MLPerf's validation set of 89,137,319
rows; its other half, the reference's test set, is not used. Kaggle's `train.txt` holds 7 days in a row without a
boundary: its last seventh stands for the last day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from models.datasets.base import Datasets
from models.datasets.reading import Reader
from models.datasets.recommendation.clicks import Clicks, multi_hot
from models.datasets.recommendation.criteo_tsv import COUNTS, IDS, prepared_columns
from models.datasets.recommendation.row_files import RowFile, npy_rows, npz_rows

DAYS, KAGGLE_DAYS = 24, 7
LAYOUT = (
    f"for each N of 0 to {DAYS - 1} day_N_dense.npy (float32 [rows, {COUNTS}]), day_N_labels.npy (integers [rows, 1]) "
    f"and day_N_sparse_multi_hot.npz ({IDS} integer arrays [rows, lookups]) or day_N_sparse.npy (integers [rows, "
    f"{IDS}]); or day_N or day_N.gz of label, {COUNTS} integers and {IDS} hexadecimal ids with tabs between; or "
    "Kaggle's train.txt"
)
LARGEST = 100.0
"""Beyond any logarithm of a count."""


class Day(NamedTuple):
    """The columns of one day, of one length."""

    dense: RowFile
    labels: RowFile
    sparse: list[RowFile]
    """One for each table, or a single one that holds an id of each."""


class CriteoClicks(Dataset[Clicks]):
    """Rows of days one after another, read and checked when they are asked for."""

    def __init__(
        self, days: Sequence[tuple[Day, int, int]], *, rows: Sequence[int], lookups: Sequence[int], reader: Reader
    ) -> None:
        """Days with the first row and the row after the last that are used of each."""
        self.days, self.rows, self.lookups, self.reader = list(days), list(rows), list(lookups), reader
        self.limits = np.repeat(rows, lookups)
        self.ends = np.array(list(accumulate(stop - start for _, start, stop in days)))

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> Clicks:
        return self._block([index])

    def __getitems__(self, indices: list[int]) -> list[Clicks]:
        """A whole batch as one block; torch's loader asks for it where there is this method."""
        return [self._block(indices)]

    def _block(self, indices: list[int]) -> Clicks:
        """The rows in the order that was asked for."""
        wanted = np.asarray(indices)
        day_of = np.searchsorted(self.ends, wanted, side="right")
        dense = np.empty((len(wanted), COUNTS), np.float32)
        ids = np.empty((len(wanted), len(self.limits)), np.int64)
        clicked = np.empty(len(wanted), np.float32)
        for number in np.unique(day_of):
            day, _, stop = self.days[number]
            here = day_of == number
            rows = wanted[here] - self.ends[number] + stop
            dense[here], ids[here], clicked[here] = self._read(day, rows)
        return Clicks(dense, ids, clicked)

    def _read(self, day: Day, rows: np.ndarray) -> Clicks:
        """Rows of one day.

        Raises:
            DataError: a value is outside its range; says where.
        """
        dense, labels = day.dense.rows(rows), day.labels.rows(rows)
        ids = np.concatenate([column.rows(rows) for column in day.sparse], axis=1)
        if len(day.sparse) == 1:
            ids = multi_hot(ids, self.rows, self.lookups)
        checks = (
            (day.dense, ~(np.abs(dense) <= LARGEST), dense, "is no logarithm of a count"),
            (day.labels, (labels != 0) & (labels != 1), labels, "is neither 0 nor 1"),
            (day.sparse[0], (ids < 0) | (ids >= self.limits), ids, "is no row of its table"),
        )
        for column, wrong, values, problem in checks:
            if wrong.any():
                row, place = np.argwhere(wrong)[0]
                raise self.reader.error(f"Row {rows[row]}: value {place}, {values[row, place]}, {problem}", column.path)
        return Clicks(dense, ids, labels[:, 0])


def criteo_datasets(root: Path, *, rows: Sequence[int], lookups: Sequence[int], cache: Path, source: str) -> Datasets:
    """All days but the last to train on, the first half of the last to evaluate on.

    Args:
        root: holds one of the forms of `LAYOUT`.
        rows: of each table. MLPerf's multi-hot ids must be within them; other ids are taken modulo.
        lookups: ids of each table.
        cache: where the columns of tab-separated files are kept, 157 bytes a row.
        source: where the data set is to be had.

    Raises:
        DataError: a file is missing, damaged or of another shape; or there are no `COUNTS` and `IDS` columns.
    """
    reader = Reader(expected=LAYOUT, source=source)
    *training, last = _used_days(range(DAYS), root, rows=rows, lookups=lookups, cache=cache, reader=reader)
    train, evaluation = (
        CriteoClicks(part, rows=rows, lookups=lookups, reader=reader) for part in (training, [_first_half(*last)])
    )
    return Datasets(train, evaluation)


def criteo_evaluation(
    root: Path, *, rows: Sequence[int], lookups: Sequence[int], cache: Path, source: str
) -> CriteoClicks:
    """What `criteo_datasets` evaluates on; of the Terabyte logs the last day alone need be there."""
    reader = Reader(expected=LAYOUT, source=source)
    *_, last = _used_days([DAYS - 1], root, rows=rows, lookups=lookups, cache=cache, reader=reader)
    return CriteoClicks([_first_half(*last)], rows=rows, lookups=lookups, reader=reader)


def _first_half(day: Day, start: int, stop: int) -> tuple[Day, int, int]:
    """Of an odd number the longer half."""
    return day, start, stop - (stop - start) // 2


def _used_days(
    numbers: Iterable[int],
    root: Path,
    *,
    rows: Sequence[int],
    lookups: Sequence[int],
    cache: Path,
    reader: Reader,
) -> list[tuple[Day, int, int]]:
    """Days with the first row and the row after the last: those of the numbers, or Kaggle's first six and seventh."""
    if len(rows) != IDS:
        raise reader.error(f"Criteo has {IDS} kinds of ids, model.architecture.rows has {len(rows)}", root)
    with reader.reading(root):
        files = {path.name.lower(): path for path in root.iterdir() if not path.name.startswith(".")}
    kaggle = next((files[name] for name in ("train.txt", "train.txt.gz") if name in files), None)
    if kaggle is None:
        days = [_day(files, number, lookups=lookups, cache=cache, reader=reader, root=root) for number in numbers]
        return [(day, 0, len(day.labels)) for day in days]
    day = Day(*prepared_columns(kaggle, cache, reader))
    edge = len(day.labels) * (KAGGLE_DAYS - 1) // KAGGLE_DAYS
    return [(day, 0, edge), (day, edge, len(day.labels))]


def _day(
    files: dict[str, Path], number: int, *, lookups: Sequence[int], cache: Path, reader: Reader, root: Path
) -> Day:
    """A day in the first form that there is of it."""
    tsv = next((files[name] for name in (f"day_{number}", f"day_{number}.gz") if name in files), None)
    names = {part: f"day_{number}_{part}" for part in ("dense.npy", "labels.npy", "sparse_multi_hot.npz", "sparse.npy")}
    if names["dense.npy"] not in files and tsv is not None:
        return Day(*prepared_columns(tsv, cache, reader))
    found = {part: files.get(name, root / name) for part, name in names.items()}
    dense = npy_rows(found["dense.npy"], reader, kinds="f", width=COUNTS)
    labels = npy_rows(found["labels.npy"], reader, kinds="iu", width=1)
    if names["sparse_multi_hot.npz"] in files or names["sparse.npy"] not in files:
        sparse = npz_rows(found["sparse_multi_hot.npz"], reader, kinds="iu", widths=list(lookups))
    else:
        sparse = [npy_rows(found["sparse.npy"], reader, kinds="iu", width=IDS)]
    day = Day(dense, labels, sparse)
    for column in (labels, *sparse):
        if len(column) != len(dense):
            raise reader.error(f"{len(column)} rows, where {dense.path.name} has {len(dense)}", column.path)
    return day

"""MLPerf's BERT data: Wikipedia, already masked, as HDF5 shards."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from models.datasets.base import Datasets
from models.datasets.language.masked.masked_words import MaskedExample
from models.datasets.language.tokens.token_stream import check_vocabulary
from models.datasets.reading import Reader

PARTS = {
    "train": ("train", "*shards_uncompressed"),
    "evaluation": ("eval", "eval_set_uncompressed"),
}
"""Folders of each part below the root: ours first, then as published."""
LAYOUT = (
    "<root>/train/*.hdf5 (or the published <root>/2048_shards_uncompressed/*.hdf5) and <root>/eval/*.hdf5 (or "
    "<root>/eval_set_uncompressed/*.hdf5), each with integer input_ids, input_mask, segment_ids [examples, length], "
    "masked_lm_positions, masked_lm_ids [examples, predictions], next_sentence_labels [examples]"
)
WIDE = ("input_ids", "input_mask", "segment_ids")
PREDICTED = ("masked_lm_positions", "masked_lm_ids")
LABELS = "next_sentence_labels"
OPEN_FILES = 64
"""Shards kept open per loader process; the published set has 2,048, more than a process may open by default."""


def mlperf_datasets(root: Path, *, sequence_length: int, predictions: int, vocabulary: int, source: str) -> Datasets:
    """Both parts of the data under `root`.

    Raises:
        DataError: a folder is missing or empty, or a shard is damaged, lacks a key, or has another shape or type.
    """
    sizes = {"sequence_length": sequence_length, "predictions": predictions, "vocabulary": vocabulary}
    return Datasets(*(mlperf_part(root, part, source=source, **sizes) for part in PARTS))


def mlperf_part(
    root: Path, part: str, *, sequence_length: int, predictions: int, vocabulary: int, source: str
) -> Shards:
    """One of `PARTS` under `root`; the other need not be there.

    Raises:
        DataError: as `mlperf_datasets`.
    """
    files = _shard_files(root, PARTS[part], source)
    return Shards(files, sequence_length=sequence_length, predictions=predictions, vocabulary=vocabulary, source=source)


def _shard_files(root: Path, patterns: tuple[str, ...], source: str) -> list[Path]:
    folders = [folder for pattern in patterns for folder in sorted(root.glob(pattern)) if folder.is_dir()]
    files = sorted(folders[0].glob("*.hdf5")) if folders else []
    if not files:
        problem = "No .hdf5 file in" if folders else "Missing folder"
        where = folders[0] if folders else root / patterns[0]
        raise Reader(expected=LAYOUT, source=source).error(problem, where)
    return files


class Shards(Dataset[MaskedExample]):
    """Examples of a list of shards, one after another. Every shard is checked on construction."""

    def __init__(
        self, files: list[Path], *, sequence_length: int, predictions: int, vocabulary: int, source: str
    ) -> None:
        self.files, self.vocabulary = files, vocabulary
        self.reader = Reader(expected=LAYOUT, source=source)
        self.widths = dict.fromkeys(WIDE, sequence_length) | dict.fromkeys(PREDICTED, predictions)
        self.ends = list(accumulate(self._checked_length(path) for path in files))
        self._open: OrderedDict[Path, Any] = OrderedDict()

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int) -> MaskedExample:
        """One example.

        Raises:
            DataError: the file is damaged there, or a value is outside its range; says which example.
        """
        shard = bisect_right(self.ends, index)
        path, row = self.files[shard], index - (self.ends[shard - 1] if shard else 0)
        with self.reader.reading(path, f"Example {row} cannot be read"):
            file = self._file(path)
            values = {name: np.asarray(file[name][row], dtype=np.int64) for name in (*WIDE, *PREDICTED, LABELS)}
        tokens = self._checked_tokens(values, row, path)
        return MaskedExample(
            input_ids=values["input_ids"],
            segment_ids=values["segment_ids"],
            positions=values["masked_lm_positions"],
            word_ids=values["masked_lm_ids"],
            is_random_next=int(values[LABELS]),
            tokens=tokens,
        )

    def _checked_tokens(self, values: dict[str, NDArray[np.int64]], row: int, path: Path) -> int:
        """How many of the inputs are no padding, once every value of the example was seen to be in its range."""
        mask = values["input_mask"]
        tokens = int(np.count_nonzero(mask))
        ids = np.concatenate([values["input_ids"], values["masked_lm_ids"]])
        check_vocabulary(ids, self.vocabulary, path, f"Example {row}: token")
        if not tokens or not np.array_equal(mask, np.arange(len(mask)) < tokens):
            raise self.reader.error(f"Example {row}: input_mask is not ones and then zeros", path)
        for name, limit in (("masked_lm_positions", tokens), ("segment_ids", 2), (LABELS, 2)):
            low, high = int(values[name].min()), int(values[name].max())
            if low < 0 or high >= limit:
                problem = f"Example {row}: {name} reach from {low} to {high}, not within 0 to {limit - 1}"
                raise self.reader.error(problem, path)
        return tokens

    def __getstate__(self) -> dict[str, Any]:
        """Without open files, which do not travel to another process."""
        return self.__dict__ | {"_open": OrderedDict()}

    def _checked_length(self, path: Path) -> int:
        import h5py

        with self.reader.reading(path, "Not a readable HDF5 file"), h5py.File(path, "r") as file:
            lengths = {self._rows(file, name, path) for name in (*WIDE, *PREDICTED, LABELS)}
        if len(lengths) != 1 or 0 in lengths:
            raise self.reader.error(f"Datasets of {sorted(lengths)} examples instead of one number", path)
        return int(lengths.pop())

    def _rows(self, file: Any, name: str, path: Path) -> int:
        if name not in file:
            raise self.reader.error(f"Key {name} is missing (found {', '.join(file)})", path)
        array, width = file[name], self.widths.get(name)
        if array.dtype.kind not in "iu":
            raise self.reader.error(f"{name} is {array.dtype}, not integer", path)
        if array.ndim == 0 or array.shape[1:] != (() if width is None else (width,)):
            wanted = "(examples,)" if width is None else f"(examples, {width})"
            raise self.reader.error(f"{name} has the shape {array.shape}, not {wanted}", path)
        return int(array.shape[0])

    def _file(self, path: Path) -> Any:
        """The open shard; the one unused for longest is closed when there are many."""
        import h5py

        if path not in self._open:
            if len(self._open) >= OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[path] = h5py.File(path, "r")
        self._open.move_to_end(path)
        return self._open[path]

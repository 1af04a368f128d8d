"""SuperGLUE's ReCoRD as FlagPerf keeps it for GLM: questions already in tokens, sparse matrices in HDF5.

A matrix is a group of `data`, `indices` and `indptr` with the attributes `h5sparse_format` (csr) and `h5sparse_shape`:
what the package h5sparse writes. Rows are read when they are asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from models.datasets.base import Datasets
from models.datasets.language.tasks.cloze import ClozeQuestion
from models.datasets.language.tokens.token_stream import Tokens, check_vocabulary
from models.datasets.reading import Reader

FOLDER = "ReCoRD/glm_train_eval_hdf5_sparse"
LAYOUT = (
    f"<root>/{FOLDER}/train_hdf5/train_sparse.hdf5 and <root>/{FOLDER}/eval_hdf5/eval_sparse.hdf5, each with CSR "
    "groups (data, indices, indptr; attributes h5sparse_format, h5sparse_shape): text, target and logit_mask "
    "[candidates, length], position [2 x candidates, length], mask [candidates values], choice_start_end [questions, "
    "2]; in the second file also answer_start_end [questions, 2] and answer_idx [answers values]"
)
WIDE = ("text", "position", "target", "logit_mask")


def record_questions(root: Path, *, sequence_length: int, vocabulary: int, source: str) -> Datasets:
    """Both parts of the data under `root`.

    Raises:
        DataError: a file is missing or damaged, lacks a matrix, or has another shape or type.
    """
    reader = Reader(expected=LAYOUT, source=source)

    def part(name: str) -> RecordQuestions:
        path = root / FOLDER / f"{name}_hdf5" / f"{name}_sparse.hdf5"
        return RecordQuestions(path, reader, length=sequence_length, vocabulary=vocabulary, answered=name == "eval")

    return Datasets(part("train"), part("eval"))


class RecordQuestions(Dataset[ClozeQuestion]):
    """Questions of one file. Shapes and the small matrices are checked on construction, texts when they are read."""

    def __init__(self, path: Path, reader: Reader, *, length: int, vocabulary: int, answered: bool) -> None:
        """Questions of a file.

        Args:
            path: the HDF5 file.
            reader: says what is wrong with it.
            length: inputs per candidate.
            vocabulary: ids must be below it.
            answered: whether the file says which candidates are right; else the first is.
        """
        import h5py

        self.path, self.reader, self.length, self.vocabulary = path, reader, length, vocabulary
        with reader.reading(path, "Not a readable HDF5 file"), h5py.File(path, "r") as file:
            self.starts = {name: self._starts(file, name) for name in WIDE}
            self.context = self._whole(file, "mask").reshape(-1)
            self.choices = self._ranges(file, "choice_start_end", len(self.context))
            self.right = self._whole(file, "answer_idx").reshape(-1) if answered else None
            self.answers = self._ranges(file, "answer_start_end", len(self.right)) if self.right is not None else None
        rows = {name: len(starts) - 1 for name, starts in self.starts.items()}
        candidates = len(self.context)
        if rows != dict.fromkeys(WIDE, candidates) | {"position": 2 * candidates}:
            raise reader.error(f"{candidates} values of mask, but rows of {rows}", path)
        if self.answers is not None and len(self.answers) != len(self.choices):
            raise reader.error(f"{len(self.choices)} questions, but answers to {len(self.answers)}", path)
        self._file: Any = None

    def __len__(self) -> int:
        return len(self.choices)

    def __getitem__(self, index: int) -> ClozeQuestion:
        """One question.

        Raises:
            DataError: the file is damaged there, or a value is outside its range; says in which question.
        """
        first, stop = self.choices[index]
        with self.reader.reading(self.path, f"Question {index} cannot be read"):
            text, targets = self._rows("text", first, stop), self._rows("target", first, stop)
            positions = self._rows("position", 2 * first, 2 * stop).reshape(-1, 2, self.length)
            counted = self._rows("logit_mask", first, stop)
        self._check(index, text, targets, positions, counted)
        right = np.arange(stop - first) == 0
        if self.answers is not None and self.right is not None:
            right = np.isin(np.arange(stop - first), self.right[slice(*self.answers[index])])
            if not right.any():
                raise self.reader.error(f"Question {index}: no candidate is right", self.path)
        return ClozeQuestion(text, positions, self.context[first:stop], targets, counted.astype(np.bool_), right)

    def __getstate__(self) -> dict[str, Any]:
        """Without the open file, which does not travel to another process."""
        return self.__dict__ | {"_file": None}

    def _check(self, index: int, text: Tokens, targets: Tokens, positions: Tokens, counted: Tokens) -> None:
        for ids in (text, targets):
            check_vocabulary(ids, self.vocabulary, self.path, f"Question {index}: token")
        limits = {"position": (positions, self.length + 1), "logit_mask": (counted, 2)}
        for name, (values, limit) in limits.items():
            if values.min() < 0 or values.max() >= limit:
                problem = f"{name} reach from {values.min()} to {values.max()}, not within 0 to {limit - 1}"
                raise self.reader.error(f"Question {index}: {problem}", self.path)
        context = self.context[slice(*self.choices[index])]
        if context.min() < 1 or context.max() > self.length or not counted.any(axis=1).all():
            raise self.reader.error(f"Question {index}: a candidate without context or words", self.path)

    def _rows(self, name: str, first: int, stop: int) -> Tokens:
        """Some rows of a matrix, zeros filled in: int64 (stop - first, length)."""
        import h5py
        from scipy.sparse import csr_matrix

        if self._file is None:
            self._file = h5py.File(self.path, "r")
        starts = self.starts[name][first : stop + 1]
        data, indices = (self._file[name][key][starts[0] : starts[-1]] for key in ("data", "indices"))
        if len(data) < starts[-1] - starts[0] or (
            len(indices) and not 0 <= indices.min() <= indices.max() < self.length
        ):
            raise ValueError(f"{name} ends too early, or names columns beyond {self.length}")
        rows = csr_matrix((data, indices, starts - starts[0]), shape=(stop - first, self.length))
        filled: Tokens = rows.toarray().astype(np.int64)
        return filled

    def _group(self, file: Any, name: str) -> Any:
        """The group of a matrix, its form checked."""
        if name not in file or not {"data", "indices", "indptr"} <= set(file[name]):
            raise self.reader.error(f"No sparse matrix {name} (found {', '.join(file)})", self.path)
        group = file[name]
        kind = group.attrs.get("h5sparse_format", "csr")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if kind != "csr" or group["data"].dtype.kind not in "iub":
            raise self.reader.error(f"{name} is {kind} of {group['data'].dtype}, not csr of integers", self.path)
        return group

    def _starts(self, file: Any, name: str) -> NDArray[np.int64]:
        """Where each row of a matrix of texts begins, and where the last ends."""
        group = self._group(file, name)
        shape = tuple(int(one) for one in group.attrs["h5sparse_shape"])
        starts: NDArray[np.int64] = group["indptr"][()].astype(np.int64)
        if shape != (len(starts) - 1, self.length):
            raise self.reader.error(f"{name} is {shape}, not {(len(starts) - 1, self.length)}", self.path)
        if starts[0] != 0 or starts[-1] != len(group["data"]) or (np.diff(starts) < 0).any():
            raise self.reader.error(f"{name} has rows that do not follow one another", self.path)
        return starts

    def _whole(self, file: Any, name: str) -> Tokens:
        """A small matrix with its zeros."""
        from scipy.sparse import csr_matrix

        group = self._group(file, name)
        parts = tuple(group[key][()] for key in ("data", "indices", "indptr"))
        values: Tokens = csr_matrix(parts, shape=tuple(group.attrs["h5sparse_shape"])).toarray().astype(np.int64)
        return values

    def _ranges(self, file: Any, name: str, stop: int) -> Tokens:
        """(questions, 2): where each question's part begins and ends; none is empty."""
        ranges = self._whole(file, name)
        fits = ranges.ndim == 2 and ranges.shape[1] == 2 and len(ranges)  # noqa: PLR2004 - begin and end
        if not fits or ranges.min() < 0 or ranges.max() > stop or (ranges[:, 0] >= ranges[:, 1]).any():
            raise self.reader.error(f"{name} are no ranges within 0 to {stop}", self.path)
        return ranges

"""Pairs of law cases in ByteMLPerf's arrays, of integers or of floating-point numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.datasets.base import DataError
from models.datasets.language.tasks.similar_cases import SEGMENTS, TOKENS, CasePairs, WordPairs, case_batch

SIZES = {"length": 8, "vocabulary": 20, "source": "a place"}
IDS = np.array([[1, 5, 2, 6, 2, 0], [1, 5, 2, 7, 7, 2]])
KINDS = np.array([[0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 1]])


def folder(root: Path, ids: np.ndarray = IDS, segments: np.ndarray = KINDS) -> Path:
    np.save(root / TOKENS, ids, allow_pickle=True)
    np.save(root / SEGMENTS, segments)
    return root


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
def test_rows_are_padded_to_the_models_length(tmp_path: Path, dtype: type) -> None:
    data = CasePairs(folder(tmp_path, IDS.astype(dtype), KINDS.astype(dtype)), **SIZES)
    batch = case_batch([data[0], data[1]])
    assert batch["input_ids"].tolist() == [[1, 5, 2, 6, 2, 0, 0, 0], [1, 5, 2, 7, 7, 2, 0, 0]]
    assert batch["segment_ids"].tolist() == [[0, 0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1, 0, 0]]
    assert batch["samples"] == 2 and batch["tokens"] == 11


@pytest.mark.parametrize(
    ("ids", "segments", "problem"),
    [
        (IDS[:1], KINDS[:1], "1 rows are no pairs"),
        (IDS, KINDS[:, :5], "It is of"),
        (np.zeros((2, 9)), np.zeros((2, 9)), "not rows of up to 8 numbers"),
        (IDS[0], KINDS[0], "not rows of up to 8 numbers"),
        (np.array([[1], [1, 2]], dtype=object), KINDS, "without pickled objects"),
    ],
)
def test_another_form_is_refused(tmp_path: Path, ids: np.ndarray, segments: np.ndarray, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        CasePairs(folder(tmp_path, ids, segments), **SIZES)


@pytest.mark.parametrize(
    ("ids", "segments", "problem"),
    [(IDS + 0.5, KINDS, "no whole number"), (IDS * 9, KINDS, "Row 0: token"), (IDS, KINDS * 2, "neither 0 nor 1")],
)
def test_a_wrong_value_is_named_with_its_row(
    tmp_path: Path, ids: np.ndarray, segments: np.ndarray, problem: str
) -> None:
    data = CasePairs(folder(tmp_path, ids, segments), **SIZES)
    with pytest.raises(DataError, match=problem):
        data[0]


def test_the_samples_more_similar_text_has_the_same_words() -> None:
    data = WordPairs(length=24, vocabulary=64, seed=0)
    for number in range(0, len(data), 2):
        alike, other = data[number], data[number + 1]
        texts = []
        for row in (alike, other):
            ids = row.input_ids[row.input_ids > 0]
            assert row.segment_ids.sum() == len(ids) // 2  # the second text and its separator
            words = np.split(ids, np.flatnonzero(ids == 2))
            texts.append((words[0][1:].tolist(), words[1][1:].tolist()))
        assert texts[0][0] == texts[1][0] and sorted(texts[0][0]) == sorted(texts[0][1])
        assert sorted(texts[1][0]) != sorted(texts[1][1])

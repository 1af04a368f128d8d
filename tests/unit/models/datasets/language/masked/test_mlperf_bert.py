"""MLPerf's BERT shards, written here with h5py in the published form."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from mlperf_bert_samples import SIZES, arrays

from models.datasets.base import DataError
from models.datasets.language.masked import mlperf_bert
from models.datasets.language.masked.mlperf_bert import mlperf_datasets


def write(path: Path, content: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file.create_dataset(name, data=values)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "train" / "part_00000_of_00002.hdf5", arrays(5))
    write(tmp_path / "train" / "part_00001_of_00002.hdf5", arrays(3, first=5))
    write(tmp_path / "eval" / "part_eval_10k.hdf5", arrays(2, first=100))
    return tmp_path


def test_every_example_is_read_exactly_across_shards(root: Path) -> None:
    train, evaluation = mlperf_datasets(root, **SIZES)
    assert (len(train), len(evaluation)) == (8, 2)  # type: ignore[arg-type]
    expected = arrays(8)
    for index in (0, 4, 5, 7):
        example = train[index]
        assert np.array_equal(example.input_ids, expected["input_ids"][index])
        assert np.array_equal(example.segment_ids, expected["segment_ids"][index])
        assert np.array_equal(example.positions, expected["masked_lm_positions"][index])
        assert np.array_equal(example.word_ids, expected["masked_lm_ids"][index])
        assert example.is_random_next == index % 2
        assert example.tokens == 8 + index % 4
        assert example.input_ids.dtype == np.int64
    assert evaluation[1].input_ids[0] == 101 % 40


def test_published_folder_names(root: Path) -> None:
    (root / "train").rename(root / "2048_shards_uncompressed")
    (root / "eval").rename(root / "eval_set_uncompressed")
    train, evaluation = mlperf_datasets(root, **SIZES)
    assert (len(train), len(evaluation)) == (8, 2)  # type: ignore[arg-type]


def test_few_files_stay_open(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlperf_bert, "OPEN_FILES", 1)
    train = mlperf_datasets(root, **SIZES).train
    assert [train[index].input_ids[0] for index in (0, 6, 1, 7)] == [0, 6, 1, 7]
    assert len(train._open) == 1  # type: ignore[attr-defined]


def test_a_pickled_dataset_opens_its_files_again(root: Path) -> None:
    train = mlperf_datasets(root, **SIZES).train
    before = train[6]
    again = pickle.loads(pickle.dumps(train))[6]
    assert np.array_equal(again.input_ids, before.input_ids)


SHARD = Path("train") / "part_00001_of_00002.hdf5"


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("masked_lm_ids", None, r"Key masked_lm_ids is missing \(found input_ids"),
        ("next_sentence_labels", None, "Key next_sentence_labels is missing"),
        ("input_ids", np.zeros((3, 16), "f4"), "input_ids is float32, not integer"),
        ("input_ids", np.zeros((3, 15), "i4"), r"shape \(3, 15\), not \(examples, 16\)"),
        ("masked_lm_positions", np.zeros((3, 4), "i4"), r"shape \(3, 4\), not \(examples, 3\)"),
        ("next_sentence_labels", np.zeros((3, 1), "i4"), r"shape \(3, 1\), not \(examples,\)"),
        ("next_sentence_labels", np.zeros(4, "i4"), r"Datasets of \[3, 4\] examples"),
    ],
)
def test_a_malformed_shard_is_refused_on_construction(
    root: Path, key: str, values: np.ndarray | None, message: str
) -> None:
    content = arrays(3, first=5)
    content.pop(key)
    write(root / SHARD, content if values is None else content | {key: values})
    with pytest.raises(DataError, match=message) as refusal:
        mlperf_datasets(root, **SIZES)
    assert refusal.value.where == str(root / SHARD)
    assert "2048_shards_uncompressed" in refusal.value.expected
    assert "Get it from: MLCommons" in str(refusal.value)


def test_shards_without_examples_are_refused(root: Path) -> None:
    write(root / SHARD, arrays(0))
    with pytest.raises(DataError, match=r"Datasets of \[0\] examples"):
        mlperf_datasets(root, **SIZES)


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", None])
def test_an_unreadable_shard_is_refused(root: Path, content: bytes | None) -> None:
    path = root / SHARD
    path.write_bytes(path.read_bytes()[:700] if content is None else content)
    with pytest.raises(DataError, match="Not a readable HDF5 file") as refusal:
        mlperf_datasets(root, **SIZES)
    assert refusal.value.where == str(path)


@pytest.mark.parametrize(
    ("key", "place", "value", "message"),
    [
        ("input_ids", 3, 40, "vocabulary is 40"),
        ("masked_lm_ids", 0, -1, "from -1"),
        ("masked_lm_positions", 0, 15, r"Example 1: masked_lm_positions reach from 0 to 15, not within 0 to 9"),
        ("masked_lm_positions", 0, -2, "Example 1: masked_lm_positions reach from -2 to 0"),
        ("input_mask", 0, 0, "Example 1: input_mask is not ones and then zeros"),
        ("input_mask", 2, 2, "Example 1: input_mask is not ones and then zeros"),  # would count that token twice
        ("input_mask", slice(None), 0, "Example 1: input_mask is not ones and then zeros"),
        ("segment_ids", 4, 7, "Example 1: segment_ids reach from 0 to 7, not within 0 to 1"),
        ("next_sentence_labels", ..., -5, "Example 1: next_sentence_labels reach from -5 to -5"),
    ],
)
def test_content_that_would_break_the_model_is_refused(
    root: Path, key: str, place: Any, value: int, message: str
) -> None:
    content = arrays(3, first=5)
    content[key][1, place] = value
    write(root / SHARD, content)
    train = mlperf_datasets(root, **SIZES).train
    train[5]
    with pytest.raises(DataError, match=message) as refusal:
        train[6]
    assert refusal.value.where == str(root / SHARD)


def test_missing_and_empty_folders(root: Path) -> None:
    (root / "eval" / "part_eval_10k.hdf5").unlink()
    with pytest.raises(DataError, match=r"No \.hdf5 file in") as refusal:
        mlperf_datasets(root, **SIZES)
    assert refusal.value.where == str(root / "eval")
    (root / "eval").rmdir()
    with pytest.raises(DataError, match="Missing folder") as refusal:
        mlperf_datasets(root, **SIZES)
    assert refusal.value.where == str(root / "eval")

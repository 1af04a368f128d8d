"""FlagPerf's CNN/DailyMail arrays, read row by row out of the .npz, and what can be wrong with them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from summary_samples import arrays, write_summaries

from models.datasets.base import DataError
from models.datasets.language.tasks.summaries import stored_summaries, summary_batch

SIZES: dict[str, Any] = {"source_length": 16, "target_length": 20, "vocabulary": 8, "source": "FlagPerf"}


def test_examples_are_those_that_numpy_stored(tmp_path: Path) -> None:
    write_summaries(tmp_path)
    train, evaluation, decode = stored_summaries(tmp_path, **SIZES)
    train = pickle.loads(pickle.dumps(train))
    with np.load(tmp_path / "dataset/train_dataset.npz") as stored:
        for number in (2, 0, 1):
            example = train[number]
            assert example.inputs.tolist() == stored["input_ids"][number].tolist()
            assert example.targets.tolist() == stored["labels"][number].tolist()
            assert example.tokens == 6 + number
    assert (len(train), len(evaluation)) == (3, 2)
    assert decode([[0, 3, 4, 5, 1, 0]]) == ["a man bit"]


@pytest.mark.parametrize("dtype", ["<i4", "<i2", ">i8", "<u2"])
def test_other_integers_are_read_as_well(tmp_path: Path, dtype: str) -> None:
    write_summaries(tmp_path, input_ids=arrays()["input_ids"].astype(dtype))
    assert stored_summaries(tmp_path, **SIZES)[0][1].inputs.tolist() == arrays()["input_ids"][1].tolist()


def test_a_batch_is_what_t5_reads(tmp_path: Path) -> None:
    write_summaries(tmp_path)
    train = stored_summaries(tmp_path, **SIZES)[0]
    batch = summary_batch([train[0], train[2]])
    assert batch["attended"].int().tolist() == arrays()["attention_mask"][[0, 2]].tolist()
    assert batch["targets"][0].tolist() == [3, 4, 1] + [-100] * 17
    assert batch["previous"][0].tolist() == [0, 3, 4, 1] + [0] * 16
    assert (batch["samples"], batch["tokens"]) == (2, 6 + 8 + 3 + 5)


def changed(name: str, place: tuple[int, ...], value: int) -> dict[str, np.ndarray]:
    values = arrays()[name]
    values[place] = value
    return {name: values}


@pytest.mark.parametrize(
    "change",
    [
        changed("input_ids", (1, 0), 8),
        changed("input_ids", (1, 15), 4),
        changed("input_ids", (1, 2), -1),
        changed("attention_mask", (1, 2), 0),
        changed("attention_mask", (1, 3), 2),
        changed("labels", (1, 1), -100),
        changed("labels", (1, 1), 8),
        changed("labels", (1, 1), -5),
        {"labels": np.full((3, 20), -100)},
    ],
)
def test_an_example_that_cannot_be_is_named_when_it_is_read(tmp_path: Path, change: dict[str, np.ndarray]) -> None:
    write_summaries(tmp_path, **change)
    train = stored_summaries(tmp_path, **SIZES)[0]
    with pytest.raises(DataError, match="Example 1") as refusal:
        train[1]
    assert Path(refusal.value.where).name == "train_dataset.npz"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": arrays()["labels"].astype("f4")}, "labels is float32"),
        ({"labels": arrays()["labels"][0]}, r"of the shape \(20,\)"),
        ({"labels": arrays()["labels"][:2]}, "rows instead of one number"),
        ({"labels": arrays()["labels"][:, :7]}, r"of the shape \(3, 7\)"),
        ({"input_ids": np.asfortranarray(arrays()["input_ids"])}, "column by column"),
        ({"input_ids": np.array([["a"]], dtype=object)}, "input_ids is object"),
        ({name: values[:0] for name, values in arrays().items()}, "'input_ids': 0"),
    ],
)
def test_arrays_of_another_form_are_refused(tmp_path: Path, change: dict[str, np.ndarray], said: str) -> None:
    write_summaries(tmp_path, **change)
    with pytest.raises(DataError, match=said):
        stored_summaries(tmp_path, **SIZES)


def spoil(root: Path, kind: str) -> str:
    path = root / "dataset/eval_dataset.npz"
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "missing":
        path.unlink()
    elif kind == "without labels":
        np.savez(path, **{name: values for name, values in arrays(2).items() if name != "labels"})
    else:
        path = root / "model/tokenizer.json"
        path.write_text("{}") if kind == "no tokenizer" else path.unlink()
    return path.name


@pytest.mark.parametrize(
    "kind", ["truncated", "empty", "missing", "without labels", "no tokenizer", "missing tokenizer"]
)
def test_a_damaged_file_is_named(tmp_path: Path, kind: str) -> None:
    write_summaries(tmp_path)
    name = spoil(tmp_path, kind)
    with pytest.raises(DataError) as refusal:
        stored_summaries(tmp_path, **SIZES)
    assert Path(refusal.value.where).name == name and refusal.value.source == "FlagPerf"


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path: Path) -> None:
    write_summaries(tmp_path)
    with pytest.raises(DataError, match=r"8 entries; model\.architecture\.vocabulary is 7"):
        stored_summaries(tmp_path, **SIZES | {"vocabulary": 7})

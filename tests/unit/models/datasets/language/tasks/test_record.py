"""ReCoRD's sparse files: every question as it was written, readable refusals."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from record_samples import ANSWERS, CHOICES, LENGTH, VOCABULARY, matrices, write_matrix, write_record

from models.datasets.base import DataError
from models.datasets.language.tasks.record import record_questions

SIZES: dict[str, Any] = {"sequence_length": LENGTH, "vocabulary": VOCABULARY, "source": "BAAI"}


@pytest.mark.parametrize("part", ["train", "eval"])
def test_questions_are_those_of_the_file(tmp_path: Path, part: str) -> None:
    write_record(tmp_path)
    data: Any = record_questions(tmp_path, **SIZES)[part == "eval"]
    data = pickle.loads(pickle.dumps(data))
    whole = matrices(part)
    assert len(data) == len(CHOICES[part])
    first = 0
    for number, count in enumerate(CHOICES[part]):
        question, rows = data[number], slice(first, first + count)
        assert np.array_equal(question.text, whole["text"][rows])
        assert np.array_equal(question.targets, whole["target"][rows])
        assert np.array_equal(question.counted, whole["logit_mask"][rows] == 1)
        assert np.array_equal(question.positions[:, 0], whole["position"][2 * first : 2 * (first + count) : 2])
        assert np.array_equal(question.positions[:, 1], whole["position"][2 * first + 1 : 2 * (first + count) : 2])
        assert question.context.tolist() == [8] * count
        right = ANSWERS[number] if part == "eval" else [0]
        assert np.flatnonzero(question.right).tolist() == right
        first += count


def change(part: str, name: str, edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, Path]], Path]:
    def damage(paths: dict[str, Path]) -> Path:
        with h5py.File(paths[part], "a") as file:
            write_matrix(file, name, edit(matrices(part)[name]))
        return paths[part]

    return damage


def put(place: tuple[int, int], value: int) -> Callable[[np.ndarray], np.ndarray]:
    def edit(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values[place] = value
        return values

    return edit


def drop(name: str) -> Callable[[dict[str, Path]], Path]:
    def damage(paths: dict[str, Path]) -> Path:
        with h5py.File(paths["train"], "a") as file:
            del file[name]
        return paths["train"]

    return damage


def shorten(key: str) -> Callable[[dict[str, Path]], Path]:
    def damage(paths: dict[str, Path]) -> Path:
        with h5py.File(paths["eval"], "a") as file:
            file["text"][key].resize((len(file["text"][key]) - 1,))
        return paths["eval"]

    return damage


def truncate(paths: dict[str, Path]) -> Path:
    paths["train"].write_bytes(paths["train"].read_bytes()[:500])
    return paths["train"]


def remove(paths: dict[str, Path]) -> Path:
    paths["eval"].unlink()
    return paths["eval"]


def empty(paths: dict[str, Path]) -> Path:
    paths["eval"].write_bytes(b"")
    return paths["eval"]


def dense(paths: dict[str, Path]) -> Path:
    with h5py.File(paths["train"], "a") as file:
        del file["text"]
        file["text"] = matrices("train")["text"]
    return paths["train"]


def fractions(paths: dict[str, Path]) -> Path:
    with h5py.File(paths["train"], "a") as file:
        write_matrix(file, "text", matrices("train")["text"] / 2)
    return paths["train"]


def columns(paths: dict[str, Path]) -> Path:
    with h5py.File(paths["train"], "a") as file:
        file["text"].attrs["h5sparse_format"] = "csc"
    return paths["train"]


def out_of_range(paths: dict[str, Path]) -> Path:
    with h5py.File(paths["train"], "a") as file:
        file["target"]["indices"][0] = LENGTH
    return paths["train"]


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        remove,
        empty,
        dense,
        fractions,
        columns,
        out_of_range,
        drop("target"),
        drop("mask"),
        shorten("data"),
        shorten("indptr"),
        change("train", "text", put((1, 2), VOCABULARY)),
        change("train", "text", put((1, 2), -1)),
        change("train", "text", lambda values: values[:, :-1]),
        change("train", "target", lambda values: values[:-1]),
        change("train", "position", put((0, 0), LENGTH + 1)),
        change("train", "logit_mask", put((2, 9), 2)),
        change("train", "logit_mask", lambda values: values * 0),
        change("train", "mask", lambda values: values * 0),
        change("train", "choice_start_end", put((2, 1), 99)),
        change("train", "choice_start_end", put((0, 1), 0)),
        change("eval", "answer_start_end", lambda values: values[:-1]),
        change("eval", "answer_idx", put((0, 2), 7)),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, damage: Callable[[dict[str, Path]], Path]) -> None:
    victim = damage(write_record(tmp_path))

    def read() -> None:
        for data in record_questions(tmp_path, **SIZES):
            for number in range(len(data)):  # type: ignore[arg-type]
                data[number]

    with pytest.raises(DataError) as refusal:
        read()
    assert str(victim) in refusal.value.where
    assert "Get it from: BAAI" in str(refusal.value) or "vocabulary is" in str(refusal.value)

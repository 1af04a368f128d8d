"""Token files: exact ids, bounded memory, readable refusals."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from models.datasets.base import DataError
from models.datasets.language.tokens.token_stream import check_vocabulary, open_npy


@pytest.mark.parametrize("dtype", ["<u2", "<i4", "<i8"])
def test_npy_is_read_exactly(tmp_path: Path, dtype: str) -> None:
    ids = np.arange(1000, 1050).astype(dtype)
    np.save(tmp_path / "tokens.npy", ids)
    tokens = open_npy(tmp_path / "tokens.npy")
    assert tokens.length == 50
    read = tokens.read(7, 12)
    assert read.dtype == np.int64
    assert read.tolist() == [1007, 1008, 1009, 1010, 1011]


def test_a_pickled_token_file_holds_no_tokens(tmp_path: Path) -> None:
    np.save(tmp_path / "tokens.npy", np.arange(100_000, dtype=np.int32))
    tokens = open_npy(tmp_path / "tokens.npy")
    tokens.read(0, 10)
    pickled = pickle.dumps(tokens)
    assert len(pickled) < 2_000
    assert pickle.loads(pickled).read(99_998, 100_000).tolist() == [99_998, 99_999]


def _write(path: Path, kind: str) -> None:
    if kind == "float":
        np.save(path, np.zeros(8, dtype=np.float32))
    elif kind == "matrix":
        np.save(path, np.zeros((2, 4), dtype=np.int32))
    elif kind == "truncated":
        np.save(path, np.zeros(1000, dtype=np.int32))
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "text":
        path.write_text("1 2 3")
    elif kind == "empty file":
        path.write_bytes(b"")
    elif kind == "archive":
        with path.open("wb") as file:
            np.savez(file, ids=np.zeros(8, dtype=np.int32))


@pytest.mark.parametrize("kind", ["missing", "float", "matrix", "truncated", "text", "empty file", "archive"])
def test_what_is_no_flat_integer_npy_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "tokens.npy"
    _write(path, kind)
    with pytest.raises(DataError, match="one dimension of integer token ids") as refusal:
        open_npy(path, source="the archive")
    assert refusal.value.where == str(path)
    assert "Get it from: the archive" in str(refusal.value)


@pytest.mark.parametrize("ids", [[0, 10], [-1, 3]])
def test_ids_outside_the_vocabulary_are_refused(ids: list[int]) -> None:
    with pytest.raises(DataError, match=r"ids from 0 to 9 .*vocabulary is 10"):
        check_vocabulary(np.array(ids), 10, Path("tokens.bin"))


def test_ids_inside_the_vocabulary_pass() -> None:
    check_vocabulary(np.array([0, 9]), 10, Path("tokens.bin"))
    check_vocabulary(np.array([], dtype=np.int64), 10, Path("tokens.bin"))

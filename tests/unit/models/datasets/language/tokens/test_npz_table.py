"""Arrays in an `.npz`: read where they lie or unpacked, with nothing pickled loaded, and every damage named."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import npz_samples
import numpy as np
import pytest

from models.datasets.base import DataError
from models.datasets.language.tokens.npz_table import NpzColumn, Unpacked, npz_columns
from models.datasets.language.tokens.token_stream import TokenFile
from models.datasets.reading import Reader

WIDTHS = {"input_ids": npz_samples.LENGTH, "attention_mask": npz_samples.LENGTH, "label": None}
READER = Reader(expected="the layout", source="the source")


def columns(path: Path) -> dict[str, NpzColumn]:
    return npz_columns(path, WIDTHS, READER)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["int64", "int32", ">i4", "uint16"])
def test_rows_are_those_written_and_pickles_stay_closed(tmp_path: Path, compressed: bool, dtype: str) -> None:
    arrays = npz_samples.sentences()
    arrays["input_ids"] = arrays["input_ids"].astype(dtype)
    found = columns(npz_samples.write(tmp_path / "a.npz", arrays, compressed=compressed))
    assert isinstance(found["input_ids"].numbers, Unpacked if compressed else TokenFile)
    again = pickle.loads(pickle.dumps(found))
    for name in WIDTHS:
        assert found[name].rows == npz_samples.SENTENCES
        for index in (0, 3, 6):
            row = found[name].row(index)
            assert row.dtype == np.int64
            assert row.tolist() == np.atleast_1d(arrays[name][index]).tolist() == again[name].row(index).tolist()


def test_what_is_stored_is_not_held_in_memory(tmp_path: Path) -> None:
    path = npz_samples.write(tmp_path / "a.npz", npz_samples.sentences())
    found = columns(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DataError, match=r"a\.npz"):
        found["attention_mask"].row(6)


def test_headers_of_the_second_version_are_read(tmp_path: Path) -> None:
    arrays = npz_samples.sentences()
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in WIDTHS:
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, arrays[name], version=(2, 0))
    assert columns(tmp_path / "a.npz")["label"].row(3).tolist() == [1]


SHORT = {name: value[:-1] for name, value in npz_samples.sentences().items() if name == "label"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"label": npz_samples.sentences()["label"].astype(float)}, r"label is float64 of the shape \(7,\), not integers"),
    ({"label": np.array(3)}, r"label is int64 of the shape \(\)"),
    (
        {"input_ids": np.zeros((7, 15), dtype=int)},
        r"input_ids is int64 of the shape \(7, 15\), not integers of \(rows, 16\)",
    ),
    ({"input_ids": np.zeros((7, 16), dtype=object)}, "input_ids is object"),
    ({"input_ids": np.asfortranarray(np.zeros((7, 16), dtype=int))}, "column by column"),
    (SHORT, "rows instead of one number"),
    ({name: npz_samples.sentences(0)[name] for name in WIDTHS}, "rows instead of one number"),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_wrong_arrays_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = npz_samples.write(tmp_path / "a.npz", npz_samples.sentences() | change)
    with pytest.raises(DataError, match=said) as refusal:
        columns(path)
    assert refusal.value.where == str(path) and refusal.value.source == "the source"


def test_an_absent_array_is_named_with_those_there(tmp_path: Path) -> None:
    arrays = npz_samples.sentences()
    del arrays["label"]
    with pytest.raises(DataError, match=r"Array label is missing \(found idx, sentence, input_ids, attention_mask\)"):
        columns(npz_samples.write(tmp_path / "a.npz", arrays))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("cut", [0, 10, 500, -30])
def test_a_truncated_file_is_named(tmp_path: Path, compressed: bool, cut: int) -> None:
    path = npz_samples.write(tmp_path / "a.npz", npz_samples.sentences(), compressed=compressed)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"a\.npz"):
        columns(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file.*a\.npz"):
        columns(tmp_path / "a.npz")


def test_damage_within_a_compressed_array_is_noticed(tmp_path: Path) -> None:
    path = npz_samples.write(tmp_path / "a.npz", npz_samples.sentences(), compressed=True)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("input_ids.npy")
    content = bytearray(path.read_bytes())
    middle = info.header_offset + 60 + info.compress_size // 2
    content[middle : middle + 8] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz"):
        columns(path)


def test_a_member_shorter_than_its_header_says(tmp_path: Path) -> None:
    path = npz_samples.write(tmp_path / "a.npz", npz_samples.sentences())
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist() if name != "sentence.npy"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(name, value[:-8] if name == "label.npy" else value)
    with pytest.raises(DataError, match="label has 48 bytes, not those of"):
        columns(path)


def test_numbers_beyond_four_bytes_are_refused(tmp_path: Path) -> None:
    arrays = npz_samples.sentences()
    arrays["input_ids"][2, 1] = 2**40
    with pytest.raises(DataError, match="beyond 32 bits"):
        columns(npz_samples.write(tmp_path / "a.npz", arrays, compressed=True))

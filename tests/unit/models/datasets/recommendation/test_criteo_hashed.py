"""Criteo's rows as TensorFlow's wide & deep takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from criteo_samples import count, identity, label, line

from models.datasets.base import DataError
from models.datasets.recommendation.criteo_hashed import HashedClicks, fingerprint

KNOWN = {
    b"68fd1e64": 7920289447977470598,
    b"05db9164": 1602218533055279028,
    b"ffffffff": 1728539056054892506,
    b"TensorFlow": 4265654129848386254,
}
"""Fingerprints of the farmhash library; the last one is 2 modulo 3, as TensorFlow's documentation has it."""
NOTHING = 11160318154034397263
"""That of the empty text."""


def hashed(text: bytes) -> int:
    first, last = (np.frombuffer(part, "<u8") for part in (text[:8], text[-8:]))
    return int(fingerprint(first, last, len(text))[0])


def test_fingerprints_are_farmhashs() -> None:
    assert {text: hashed(text) for text in KNOWN} == KNOWN and KNOWN[b"TensorFlow"] % 3 == 2


@pytest.mark.parametrize(("name", "between"), [("eval.csv", ","), ("eval.tsv", "\t")])
def test_counts_are_scaled_and_ids_hashed(tmp_path: Path, name: str, between: str) -> None:
    (tmp_path / name).write_text("".join(line(0, row).replace("\t", between) + "\n" for row in range(7)))
    data = HashedClicks(tmp_path, buckets=1000, source="a place")
    assert len(data) == 7
    (block,) = data.__getitems__([0, 4])
    for place, row in enumerate((0, 4)):
        (one,) = (data[row],)
        for i in range(13):
            column = [0 if i == 0 and other % 3 == 0 else count(0, other, i) for other in range(7)]
            scaled = (column[row] - min(column)) / (max(column) - min(column))
            assert block.dense[place, i] == one.dense[0, i] == pytest.approx(scaled, abs=1e-6)
        for i in range(26):
            missing = i == 25 and row % 3 == 0
            wanted = NOTHING if missing else hashed(f"{identity(0, row, i):08x}".encode())
            assert block.ids[place, i] == one.ids[0, i] == wanted % 1000
        assert block.clicked[place] == label(0, row)
    assert block.ids.dtype == np.int64 and block.dense.dtype == np.float32


def test_a_column_of_one_value_is_0(tmp_path: Path) -> None:
    (tmp_path / "eval.csv").write_text((line(0, 1).replace("\t", ",") + "\n") * 2)
    assert (HashedClicks(tmp_path, buckets=10, source="a place").clicks.dense == 0).all()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("1,", "2,", "Line 2: the label is neither 0 nor 1"),
        (f",{identity(0, 1, 0):08x}", ",abc", "Line 2: an id has not 8 digits"),
        (",", ";", "Not Criteo's form"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, old: str, new: str, problem: str) -> None:
    lines = [line(0, row).replace("\t", ",") for row in range(3)]
    lines[1] = lines[1].replace(old, new, 1) if old != "," else lines[1].replace(old, new)
    (tmp_path / "eval.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=problem) as caught:
        HashedClicks(tmp_path, buckets=10, source="a place")
    assert "eval.csv" in str(caught.value)


def test_a_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"eval\.csv"):
        HashedClicks(tmp_path, buckets=10, source="a place")

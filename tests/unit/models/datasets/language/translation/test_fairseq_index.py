"""fairseq's two index forms, written here byte by byte."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import pytest
from fairseq_form import CODES, mapped_index, old_index, write_sentences

from models.datasets.base import DataError
from models.datasets.language.translation.fairseq_index import read_sentences
from models.datasets.reading import Reader

SENTENCES = [[5, 6, 7, 2], [8, 2], [9, 10, 2]]
SIZES = [4, 2, 3]
READER = Reader(expected="fairseq's", source="FlagPerf")


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_sentences_are_read_as_they_were_written(tmp_path: Path, code: int, mapped: bool) -> None:
    write_sentences(tmp_path / "train.en-de.en", SENTENCES, code=code, mapped=mapped)
    found = pickle.loads(pickle.dumps(read_sentences(tmp_path / "train.en-de.en", reader=READER)))
    assert [found.read(number).tolist() for number in (2, 0, 1)] == [SENTENCES[number] for number in (2, 0, 1)]
    assert found.lengths.tolist() == SIZES and len(found) == 3


def damaged(kind: str) -> bytes:
    old, mapped = old_index(SIZES), mapped_index(SIZES)
    wrong_sizes = bytearray(old)
    struct.pack_into("<q", wrong_sizes, len(old) - 8, 7)
    wrong_places = bytearray(mapped)
    struct.pack_into("<q", wrong_places, len(mapped) - 8, 4)
    return {
        "empty": b"",
        "another kind": b"PK\x03\x04" + old,
        "half a header": old[:20],
        "half a mapped header": mapped[:12],
        "truncated": old[:-1],
        "truncated, mapped": mapped[:-1],
        "too long": old + b"\x00",
        "of floats": old_index(SIZES, code=6),
        "of an unknown version": old_index(SIZES, version=2),
        "with sizes that do not fit": bytes(wrong_sizes),
        "with places that do not fit": bytes(wrong_places),
        "of no sentence": old_index([]),
        "with an empty sentence": old_index([4, 0, 5]),
        "of another data file": old_index([4, 2]),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        *("empty", "another kind", "half a header", "half a mapped header", "truncated", "truncated, mapped"),
        *("too long", "of floats", "of an unknown version", "with sizes that do not fit"),
        *("with places that do not fit", "of no sentence", "with an empty sentence", "of another data file"),
    ],
)
def test_a_damaged_index_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    write_sentences(tmp_path / "a", SENTENCES)
    (tmp_path / "a.idx").write_bytes(damaged(kind))
    with pytest.raises(DataError) as refusal:
        read_sentences(tmp_path / "a", reader=READER)
    assert Path(refusal.value.where).stem == "a" and refusal.value.source == "FlagPerf"


@pytest.mark.parametrize("ending", [".idx", ".bin"])
def test_a_missing_file_is_named(tmp_path: Path, ending: str) -> None:
    write_sentences(tmp_path / "a", SENTENCES)
    (tmp_path / f"a{ending}").unlink()
    with pytest.raises(DataError) as refusal:
        read_sentences(tmp_path / "a", reader=READER)
    assert refusal.value.where.endswith(f"a{ending}")


def test_a_file_that_became_shorter_is_named(tmp_path: Path) -> None:
    write_sentences(tmp_path / "a", SENTENCES)
    found = read_sentences(tmp_path / "a", reader=READER)
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(DataError) as refusal:
        found.read(1)
    assert refusal.value.where.endswith("a.bin")

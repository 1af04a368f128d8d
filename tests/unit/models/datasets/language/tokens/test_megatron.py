"""Megatron's indexed data, written here byte by byte in its own form."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from models.datasets.base import DataError
from models.datasets.language.tokens.megatron import megatron_tokens, read_index
from models.datasets.language.tokens.next_token import Sequences

CODES = {1: "<u1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}
DOCUMENTS = [[5, 6, 7], [8], [9, 10, 11, 12], [13, 14]]


def index_bytes(sizes: list[int], *, code: int = 8, magic: bytes = b"MMIDIDX\x00\x00", version: int = 1) -> bytes:
    width = np.dtype(CODES.get(code, "<i4")).itemsize
    places = [width * sum(sizes[:number]) for number in range(len(sizes))]
    header = magic + struct.pack("<Q", version) + struct.pack("<B", code)
    counts = struct.pack("<QQ", len(sizes), len(sizes) + 1)
    marks = range(len(sizes) + 1)
    return header + counts + struct.pack(f"<{len(sizes)}i{len(sizes)}q{len(sizes) + 1}q", *sizes, *places, *marks)


def write(folder: Path, *, code: int = 8, index: bytes | None = None) -> Path:
    ids = np.concatenate([np.array(document) for document in DOCUMENTS]).astype(CODES.get(code, "<i4"))
    (folder / "text_document.bin").write_bytes(ids.tobytes())
    path = folder / "text_document.idx"
    path.write_bytes(index if index is not None else index_bytes([len(document) for document in DOCUMENTS], code=code))
    return path


@pytest.mark.parametrize("code", CODES)
def test_ids_are_read_across_documents(tmp_path: Path, code: int) -> None:
    write(tmp_path, code=code)
    tokens = megatron_tokens(tmp_path, source="")
    assert tokens.length == 10
    assert tokens.read(0, 10).tolist() == [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    sequences = Sequences(tokens, sequence_length=3, vocabulary=20)
    assert [sequences[number].targets.tolist() for number in range(len(sequences))] == [
        [6, 7, 8],
        [9, 10, 11],
        [12, 13, 14],
    ]


def test_modality_bytes_of_newer_writers_are_accepted(tmp_path: Path) -> None:
    sizes = [len(document) for document in DOCUMENTS]
    write(tmp_path, index=index_bytes(sizes) + bytes(len(sizes)))
    assert megatron_tokens(tmp_path, source="").length == 10


def damaged(kind: str) -> bytes:
    sizes = [len(document) for document in DOCUMENTS]
    whole = index_bytes(sizes)
    gap = bytearray(whole)
    places = 9 + 8 + 1 + 16 + 4 * len(sizes)
    gap[places + 8 : places + 16] = struct.pack("<q", 8)  # the second sequence one id too late
    return {
        "magic": index_bytes(sizes, magic=b"TNTIDX\x00\x00\x00"),
        "version": index_bytes(sizes, version=2),
        "float": index_bytes(sizes, code=6),
        "unknown type": index_bytes(sizes, code=77),
        "truncated": whole[:-5],
        "header only": whole[:20],
        "empty": b"",
        "gap": bytes(gap),
        "sizes": index_bytes([3, 1, 4, 3]),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "message", "file"),
    [
        ("magic", "Not a Megatron index", "idx"),
        ("version", "version 2 is unknown", "idx"),
        ("float", "code 6 is no integer type", "idx"),
        ("unknown type", "code 77 is no integer type", "idx"),
        ("truncated", "Truncated index", "idx"),
        ("header only", "header is incomplete", "idx"),
        ("empty", "Not a Megatron index", "idx"),
        ("gap", "do not follow on one another", "idx"),
        ("sizes", "20 bytes instead of the index's 22", "bin"),
    ],
)
def test_a_damaged_index_is_refused_by_name(tmp_path: Path, kind: str, message: str, file: str) -> None:
    path = write(tmp_path, index=damaged(kind))
    with pytest.raises(DataError, match=message) as refusal:
        read_index(path, source="FlagPerf")
    assert refusal.value.where == str(path.with_suffix(f".{file}"))
    assert "preprocess_data.py" in refusal.value.expected
    assert "Get it from: FlagPerf" in str(refusal.value)


def test_missing_data_file(tmp_path: Path) -> None:
    write(tmp_path).with_suffix(".bin").unlink()
    with pytest.raises(DataError, match="data file beside the index is missing"):
        megatron_tokens(tmp_path, source="")


def test_truncated_data_file(tmp_path: Path) -> None:
    data = write(tmp_path).with_suffix(".bin")
    data.write_bytes(data.read_bytes()[:-2])
    with pytest.raises(DataError, match="18 bytes instead of the index's 20"):
        megatron_tokens(tmp_path, source="")


def test_empty_and_ambiguous_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"exactly one \.idx file, found none"):
        megatron_tokens(tmp_path, source="")
    write(tmp_path)
    (tmp_path / "other.idx").write_bytes(b"")
    with pytest.raises(DataError, match=r"found other\.idx, text_document\.idx"):
        megatron_tokens(tmp_path, source="")


def test_documents_are_those_of_the_marks(tmp_path: Path) -> None:
    whole = index_bytes([3, 1, 4, 2])
    marks = struct.pack("<3q", 0, 2, 4)  # two sentences each
    sized = whole[:26] + struct.pack("<Q", 3) + whole[34:-40] + marks
    path = write(tmp_path, index=sized)
    assert read_index(path).ends.tolist() == [4, 10]
    path.write_bytes(sized[:-8] + struct.pack("<q", 3))
    with pytest.raises(DataError, match="marks do not rise from 0 to the 4 sequences"):
        read_index(path)

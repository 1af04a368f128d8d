"""enwik8's bytes and its customary parts, on a file of a hundred bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.datasets.base import DataError
from models.datasets.language.tokens import enwik8
from models.datasets.language.tokens.enwik8 import PARTS, enwik8_bytes


def test_parts_are_the_customary_ones() -> None:
    assert PARTS == {"train": 90_000_000, "valid": 5_000_000, "test": 5_000_000}


def test_bytes_are_read_from_each_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enwik8, "PARTS", {"train": 90, "valid": 5, "test": 5})
    (tmp_path / "enwik8").write_bytes(bytes(range(100, 200)))
    for part, ids in (("train", range(100, 190)), ("valid", range(190, 195)), ("test", range(195, 200))):
        tokens = enwik8_bytes(tmp_path, part, source="")
        assert tokens.read(0, tokens.length).tolist() == list(ids)


@pytest.mark.parametrize("content", [None, b"", b"<mediawiki>"])
def test_another_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "enwik8").write_bytes(content)
    with pytest.raises(DataError, match=r"enwik8.*100,000,000 bytes"):
        enwik8_bytes(tmp_path, "train", source="")

"""CPM-Finetune's files in the true format, and stand-ins for the two packages that read them.

The stand-in for jieba cuts after every second character, that for sentencepiece gives one id to each character; blanks
between words give none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

PIECES = {"<unk>": 0, "<pad>": 5, "<eod>": 7, "\u2582": 8, "\u2583": 9} | {
    chr(ord("a") + number): 10 + number for number in range(26)
}


class Pieces:
    def __init__(self, model_file: str) -> None:
        if Path(model_file).read_bytes() != b"a model":
            raise RuntimeError("Internal: could not parse ModelProto")

    def encode(self, text: str) -> list[int]:
        assert "\n" not in text
        return [PIECES.get(character, 0) for character in text if character != " "]


def cut(text: str, *, cut_all: bool) -> Iterator[str]:
    assert not cut_all
    return (text[start : start + 2] for start in range(0, len(text), 2))


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    jieba: Any = SimpleNamespace(cut=cut, setLogLevel=lambda _: None)
    monkeypatch.setitem(sys.modules, "jieba", jieba)
    monkeypatch.setitem(sys.modules, "sentencepiece", SimpleNamespace(SentencePieceProcessor=Pieces))


def write(root: Path, train: str, valid: str = "ab\n") -> Path:
    (root / "bpe_3w_new").mkdir(exist_ok=True)
    (root / "bpe_3w_new" / "vocab.json").write_text(json.dumps(PIECES))
    (root / "bpe_3w_new" / "chinese_vocab.model").write_bytes(b"a model")
    (root / "train.txt").write_bytes(train.encode())
    (root / "valid.txt").write_bytes(valid.encode())
    return root

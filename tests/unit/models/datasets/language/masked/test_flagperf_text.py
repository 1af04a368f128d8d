"""FlagPerf's text for bertLarge: which pieces are hidden, and how blocks are cut."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from models.datasets.base import DataError
from models.datasets.language.masked.flagperf_text import HiddenWords
from models.datasets.language.tokens.next_token import IGNORED

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ann", "has", "nut", "##s", "."]
SIZES = {"length": 16, "share": 0.3, "mask_id": 4, "vocabulary": 10, "source": "a place"}


def folder(root: Path, sentences: int) -> Path:
    (root / "vocab.txt").write_text("\n".join(PIECES))
    (root / "eval.txt").write_text("Ann has nuts.\n" * sentences)
    return root


def test_blocks_are_the_text_with_a_share_of_its_pieces_hidden(tmp_path: Path) -> None:
    data = HiddenWords(folder(tmp_path, 30), **SIZES)
    whole = [2, *[5, 6, 7, 8, 9] * 30, 3]
    assert len(data) == len(whole) // 16
    random.seed(0)
    lots = [None, *(random.random() < 0.3 for _ in range(150)), None]
    for index in range(len(data)):
        example = data[index]
        assert example.tokens == 16
        for place, (shown, target) in enumerate(zip(example.inputs, example.targets, strict=True)):
            real, hidden = whole[index * 16 + place], lots[index * 16 + place]
            assert (shown, target) == ((4, real) if hidden else (real, IGNORED))
    assert 30 < sum(map(bool, lots)) < 60


def test_the_same_pieces_are_hidden_every_time(tmp_path: Path) -> None:
    first, second = (HiddenWords(folder(tmp_path, 30), **SIZES) for _ in range(2))
    assert np.array_equal(first.shown, second.shown)


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fill no block of 16"):
        HiddenWords(folder(tmp_path, 2), **SIZES)
    with pytest.raises(DataError, match="from 5 to 9"):
        HiddenWords(folder(tmp_path, 30), **{**SIZES, "vocabulary": 9})
    (tmp_path / "eval.txt").unlink()
    with pytest.raises(DataError, match=r"eval\.txt"):
        HiddenWords(tmp_path, **SIZES)

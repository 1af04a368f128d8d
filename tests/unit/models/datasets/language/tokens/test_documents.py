"""Splits of documents: whole ones, neighbours, none in two parts."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from models.datasets.base import DataError
from models.datasets.language.tokens.documents import Documents
from models.datasets.language.tokens.token_stream import open_npy


def documents(folder: Path, lengths: list[int]) -> Documents:
    np.save(folder / "tokens.npy", np.arange(sum(lengths), dtype=np.int32))
    return Documents(tokens=open_npy(folder / "tokens.npy"), ends=np.cumsum(lengths))


def test_borders_are_megatrons(tmp_path: Path) -> None:
    """200 documents by 949, 50, 1 of 1,000: 189.8 and 199.8 round to 190 and 200."""
    whole = documents(tmp_path, list(range(1, 201)))
    train, held_out, rest = whole.parts((949, 50, 1))
    assert train.length == sum(range(1, 191)) and held_out.length == sum(range(191, 201)) and rest.length == 0
    assert held_out.read(0, 2).tolist() == [train.length, train.length + 1]
    assert held_out.read(0, 10**6)[-1] == whole.tokens.length - 1


def test_no_sequence_crosses_into_the_other_part(tmp_path: Path) -> None:
    train, held_out = documents(tmp_path, [7] * 10).datasets((8, 2), sequence_length=5, vocabulary=70)
    assert (len(train), len(held_out)) == (11, 2)  # type: ignore[arg-type]
    assert max(train[index].targets.max() for index in range(11)) == 55
    assert held_out[0].inputs[0] == 56
    again = pickle.loads(pickle.dumps(held_out))
    assert again[1].targets.tolist() == held_out[1].targets.tolist() == [62, 63, 64, 65, 66]


def test_an_empty_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"10 documents of 70 ids, split .998, 1, 1., leave a part too short"):
        documents(tmp_path, [7] * 10).datasets((998, 1, 1), sequence_length=5, vocabulary=70)
    with pytest.raises(DataError, match="too short"):
        documents(tmp_path, [7] * 10).datasets((9, 1), sequence_length=7, vocabulary=70)

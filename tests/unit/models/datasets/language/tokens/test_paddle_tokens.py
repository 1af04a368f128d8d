"""PaddleNLP's token files: sentences, documents, and what does not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paddle_form import write_paddle

from models.datasets.base import DataError
from models.datasets.language.tokens.paddle_tokens import paddle_documents

LENS = np.array([3, 1, 0, 4, 2], dtype=np.int32)
DOCS = np.array([0, 2, 4, 5], dtype=np.int64)


def test_documents_end_where_their_last_sentence_does(tmp_path: Path) -> None:
    write_paddle(tmp_path / "gpt", list(range(10)), lens=LENS, docs=DOCS)
    documents = paddle_documents(tmp_path, source="")
    assert documents.ends.tolist() == [4, 8, 10]
    assert documents.tokens.read(0, 10).tolist() == list(range(10))


def test_without_docs_each_length_is_a_document(tmp_path: Path) -> None:
    write_paddle(tmp_path / "gpt", list(range(10)), lens=LENS)
    assert paddle_documents(tmp_path, source="").ends.tolist() == [3, 4, 4, 8, 10]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"sizes": LENS}, "has no lens"),
        ({"lens": LENS[:-1]}, "add up to 8 ids, gpt_ids.npy holds 10"),
        ({"lens": np.array([12, -2])}, "add up to 10 ids"),
        ({"lens": np.array([10.0, np.nan])}, r"lens holds 1 dimension\(s\) of float64"),
        ({"lens": LENS[None]}, "lens holds 2 dimension"),
        ({"lens": LENS, "docs": DOCS[:-1]}, "docs do not rise from 0 to the 5 sentences"),
        ({"lens": LENS, "docs": DOCS[1:]}, "docs do not rise"),
        ({"lens": LENS, "docs": np.array([0, 4, 2, 5])}, "docs do not rise"),
        ({"lens": LENS, "docs": np.array([], dtype=np.int64)}, "docs do not rise"),
        ({"lens": np.array([10], dtype=object)}, "Not a readable .npz"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = write_paddle(tmp_path / "gpt", list(range(10)), **arrays)
    with pytest.raises(DataError, match=message) as refusal:
        paddle_documents(tmp_path, source="FlagPerf")
    assert refusal.value.where == str(path) and refusal.value.source == "FlagPerf"


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbflens", b"PK\x03\x04 cut short"])
def test_a_damaged_archive(tmp_path: Path, content: bytes) -> None:
    path = write_paddle(tmp_path / "gpt", list(range(10)), lens=LENS)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"gpt_idx\.npz"):
        paddle_documents(tmp_path, source="")


def test_missing_ids_and_other_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"exactly one _idx\.npz file, found none"):
        paddle_documents(tmp_path, source="")
    write_paddle(tmp_path / "gpt", list(range(10)), lens=LENS)
    for hidden in ("._gpt_idx.npz", ".DS_Store"):
        (tmp_path / hidden).write_bytes(b"\0")
    assert len(paddle_documents(tmp_path, source="").ends) == 5
    (tmp_path / "gpt_ids.npy").unlink()
    with pytest.raises(DataError, match=r"No such token file.*gpt_ids\.npy"):
        paddle_documents(tmp_path, source="")

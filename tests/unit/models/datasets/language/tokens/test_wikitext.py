"""WikiText from Arrow files: words by frequency, lines in order, readable refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from wikitext_samples import LINES, write_arrow, write_wikitext

from models.datasets.base import DataError
from models.datasets.language.tokens.wikitext import wikitext_tokens

TEXT = LINES * 3
WORDS = ["<eos>", "the", "sat", "=", "cat", "A", "title", "on", "@-@", "mat", "The", ",", "<unk>"]
"""By hand: per repetition `the` 4, `sat` 3, `=` and `cat` 2, the others once; in three repetitions none is rare."""


def ids(root: Path, cache: Path, vocabulary: int = 20) -> tuple[list[int], list[int]]:
    train, test = wikitext_tokens(root, cache, vocabulary=vocabulary, source="the hub")
    return train.read(0, train.length).tolist(), test.read(0, test.length).tolist()


def spelt(text: list[str]) -> list[int]:
    words = [word for line in text for word in (*line.split(), "<eos>")]
    return [WORDS.index(word) if word in WORDS else WORDS.index("<unk>") for word in words]


def test_words_are_ranked_and_lines_stay_in_order(tmp_path: Path) -> None:
    write_wikitext(tmp_path, TEXT, test=[" the dog sat \n", ""])
    train, test = ids(tmp_path, tmp_path / "cache")
    assert train == spelt(TEXT)
    assert test == spelt([" the dog sat \n", ""]) == [1, 12, 2, 0, 0]


def test_a_rare_word_is_unknown(tmp_path: Path) -> None:
    write_wikitext(tmp_path, [*TEXT, " dog dog \n"])
    train, _ = ids(tmp_path, tmp_path / "cache")
    assert train[-3:] == [WORDS.index("<unk>")] * 2 + [0]


def test_ids_are_made_once_and_anew_when_a_file_changes(tmp_path: Path) -> None:
    write_wikitext(tmp_path, TEXT)
    ids(tmp_path, tmp_path / "cache")
    (made,) = (tmp_path / "cache").iterdir()
    written = (made / "train.bin").stat().st_mtime_ns
    ids(tmp_path, tmp_path / "cache")
    assert (made / "train.bin").stat().st_mtime_ns == written
    write_wikitext(tmp_path, LINES * 4)
    assert ids(tmp_path, tmp_path / "cache")[0] == spelt(LINES * 4)


def test_a_cache_that_cannot_be_written_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wikitext(tmp_path, TEXT)
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ids(tmp_path, tmp_path / "cache")[0] == spelt(TEXT)


def test_a_given_vocabulary_is_used_as_it_stands(tmp_path: Path) -> None:
    write_wikitext(tmp_path, TEXT)
    (tmp_path / "vocab.txt").write_bytes("\ufeff<unk>\r\n<eos>\r\nthe\r\ncat\r\n".encode())
    assert ids(tmp_path, tmp_path / "cache")[0][:8] == [1, 0, 0, 0, 0, 1, 1, 2]


def test_files_of_the_cache_of_datasets_do_as_well(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_arrow(tmp_path / "data" / f"wikitext-{part}.ARROW", TEXT)
        (tmp_path / "data" / f"._wikitext-{part}.arrow").write_text("litter")
    assert ids(tmp_path, tmp_path / "cache")[0] == spelt(TEXT)


def truncated(root: Path) -> Path:
    path = root / "train/data-00001-of-00002.arrow"
    path.write_bytes(path.read_bytes()[:-200])
    return path


def text_file(root: Path) -> Path:
    path = root / "test/data-00000-of-00001.arrow"
    path.write_text("no arrow")
    return path


def other_column(root: Path) -> Path:
    write_arrow(root / "test/data-00000-of-00001.arrow", TEXT, column="page")
    return root / "test/data-00000-of-00001.arrow"


def numbers(root: Path) -> Path:
    path = root / "train/data-00000-of-00002.arrow"
    table = pa.table({"text": [1, 2]})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    return path


def without_text(root: Path) -> Path:
    path = root / "train/data-00000-of-00002.arrow"
    table = pa.table({"text": ["a", None]})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    return path


def missing(root: Path) -> Path:
    (root / "train/data-00001-of-00002.arrow").unlink()
    return root / "train/data-00001-of-00002.arrow"


def state(root: Path) -> Path:
    (root / "train/state.json").write_text(json.dumps({"files": []}))
    return root / "train/state.json"


def empty(root: Path) -> Path:
    write_arrow(root / "test/data-00000-of-00001.arrow", [])
    return root / "test/data-00000-of-00001.arrow"


def doubled(root: Path) -> Path:
    (root / "vocab.txt").write_text("<unk>\n<eos>\na\na\n")
    return root / "vocab.txt"


@pytest.mark.parametrize(
    "damage", [truncated, text_file, other_column, numbers, without_text, missing, state, empty, doubled]
)
def test_a_bad_file_is_named(tmp_path: Path, damage: Callable[[Path], Path]) -> None:
    write_wikitext(tmp_path, TEXT)
    victim = damage(tmp_path)
    with pytest.raises(DataError) as refusal:
        ids(tmp_path, tmp_path / "cache")
    assert refusal.value.where == str(victim)
    assert "Get it from: the hub" in str(refusal.value)


def test_more_words_than_the_model_has_are_refused(tmp_path: Path) -> None:
    write_wikitext(tmp_path, TEXT)
    with pytest.raises(DataError, match=r"13 words, while model\.architecture\.vocabulary is 12"):
        ids(tmp_path, tmp_path / "cache", vocabulary=12)
    assert not list((tmp_path / "cache").glob("wikitext*"))


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of the part train"):
        ids(tmp_path, tmp_path / "cache")

"""WMT14 as fairseq leaves it: dictionaries, pairs, references, and everything that can be wrong with them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fairseq_form import WORDS, write_sentences, write_translations

from models.datasets.base import DataError
from models.datasets.language.translation.dictionary import Dictionary, read_dictionary
from models.datasets.language.translation.fairseq_pairs import fairseq_pairs
from models.datasets.language.translation.pairs import pair_batch
from models.datasets.reading import Reader

VOCABULARY = len(WORDS) + 4


def read(root: Path, *, vocabulary: int = VOCABULARY, longest: int = 8) -> Any:
    return fairseq_pairs(root, vocabulary=vocabulary, longest=longest, source="FlagPerf")


@pytest.mark.parametrize("mapped", [False, True])
def test_pairs_references_and_dictionary(tmp_path: Path, mapped: bool) -> None:
    write_translations(tmp_path, mapped=mapped)
    train, test, dictionary = pickle.loads(pickle.dumps(read(tmp_path)))
    assert [one.tolist() for one in train[0][:2]] == [[9, 10, 2], [7, 4, 5, 2]]
    assert train[0].reference is None and test[1].reference == '"Haustuer"'
    assert train.sizes().tolist() == [4, 3, 5], "of the longer sentence, its end included"
    assert dictionary.text([7, 4, 5, 2, 9]) == "das Haustuer"
    assert dictionary.text([4, 2]) == "Haus", "a cut at the end goes too, as in fairseq"


def test_training_pairs_that_are_too_long_are_left_out(tmp_path: Path) -> None:
    write_translations(tmp_path)
    with pytest.raises(DataError, match=r"Only 1 of 2 pairs have no more than 4 ids"):
        read(tmp_path, longest=4)
    write_sentences(tmp_path / "test.en-de.de", [[7, 2], [4, 5, 2]])
    train, test, _ = read(tmp_path, longest=4)
    assert [pair.source.tolist() for pair in (train[0], train[1])] == [[9, 10, 2], [10, 2]]
    assert (len(train), len(test), train.sizes().tolist()) == (2, 2, [4, 3])


def test_a_batch_is_padded_and_the_decoder_reads_one_word_behind(tmp_path: Path) -> None:
    write_translations(tmp_path)
    train, test, _ = read(tmp_path)
    batch = pair_batch([train[0], train[1]])
    assert batch["source"].tolist() == [[9, 10, 2], [10, 2, 1]]
    assert batch["previous"].tolist() == [[2, 7, 4, 5], [2, 4, 5, 1]]
    assert batch["target"].tolist() == [[7, 4, 5, 2], [4, 5, 2, 1]]
    assert batch["tokens"] == 7 and "references" not in batch
    assert pair_batch([test[0], test[1]])["references"] == ["das Haustuer", '"Haustuer"']


def replaced(root: Path, name: str, old: str, new: str) -> None:
    path = root / name
    path.write_text(path.read_text().replace(old, new))


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another dictionary": (lambda root: replaced(root, "dict.de.txt", "das", "der"), "dict.de.txt"),
    "a line without count": (lambda root: replaced(root, "dict.en.txt", "das 3", "das"), "dict.en.txt"),
    "a symbol twice": (lambda root: replaced(root, "dict.en.txt", "das", "the"), "dict.en.txt"),
    "an empty dictionary": (lambda root: (root / "dict.en.txt").write_text(""), "dict.en.txt"),
    "no UTF-8": (lambda root: (root / "dict.en.txt").write_bytes(b"\xff 3\n"), "dict.en.txt"),
    "no dictionary": (lambda root: (root / "dict.en.txt").unlink(), "dict.en.txt"),
    "no references": (lambda root: (root / "test.raw.de").unlink(), "test.raw.de"),
    "a reference too many": (lambda root: (root / "test.raw.de").write_text("a\nb\nc\n"), "test.raw.de"),
    "fewer German sentences": (lambda root: write_sentences(root / "train.en-de.de", [[7, 2]]), "train.en-de.de.bin"),
    "a second part": (lambda root: (root / "train1.en-de.en.idx").touch(), "train1.en-de.en.idx"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_named_before_training(tmp_path: Path, kind: str) -> None:
    write_translations(tmp_path)
    spoil, where = WRONG[kind]
    spoil(tmp_path)
    with pytest.raises(DataError) as refusal:
        read(tmp_path)
    assert Path(refusal.value.where).name == where
    assert refusal.value.source == "FlagPerf"


def test_a_dictionary_of_another_size_than_the_models_is_refused(tmp_path: Path) -> None:
    write_translations(tmp_path)
    with pytest.raises(DataError, match=r"11 symbols with the special ones; model\.architecture\.vocabulary is 12"):
        read(tmp_path, vocabulary=12)


@pytest.mark.parametrize("sentence", [[7, 11, 2], [7, 4], [7, 2, 4, 2], [7, 1, 2], [-1, 2]])
def test_a_sentence_that_cannot_be_is_named_when_it_is_read(tmp_path: Path, sentence: list[int]) -> None:
    write_translations(tmp_path)
    write_sentences(tmp_path / "train.en-de.de", [[7, 2], sentence, [4, 2]])
    train, _, _ = read(tmp_path)
    assert train[0].target.tolist() == [7, 2]
    with pytest.raises(DataError, match="Sentence 1") as refusal:
        train[1]
    assert Path(refusal.value.where).name == "train.en-de.de.bin"


def test_marks_and_line_ends_of_other_systems_are_understood(tmp_path: Path) -> None:
    write_translations(tmp_path)
    path = tmp_path / "dict.en.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    (tmp_path / "test.raw.de").write_bytes(b"eins\r\nzwei\r\n")
    _, test, dictionary = read(tmp_path)
    assert dictionary.symbols[4:] == tuple(WORDS) and test[1].reference == "zwei"


def test_symbols_that_look_like_line_ends_stay_symbols(tmp_path: Path) -> None:
    path = tmp_path / "dict.en.txt"
    path.write_text("a\u2028b 2\n\x85 1\n", encoding="utf-8")
    assert read_dictionary(path, reader=Reader(expected="x")).symbols[4:] == ("a\u2028b", "\x85")


def test_text_ends_at_the_first_end_and_has_no_padding() -> None:
    dictionary = Dictionary(("<pad>", "</s>", "x@@", "y", "z"), pad=0, end=1)
    assert dictionary.text([0, 2, 3, 4, 0, 1, 4]) == "xy z"
    assert dictionary.encode(["z", "y"]).tolist() == [4, 3, 1]

"""SQuAD's file and the tokenizers beside it, each in the forms that checkpoints come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.datasets.base import DataError
from models.datasets.language.questions.number_facts import word_tokenizer
from models.datasets.language.questions.pair_tokenizer import PairForm, read_tokenizer
from models.datasets.language.questions.squad import FILE, Question, read_squad
from models.datasets.reading import Reader

READER = Reader(expected="SQuAD", source="a place")
WORDS, PAIRS = PairForm(kind="wordpiece"), PairForm(kind="bpe", begin="<s>", separator="</s>", padding="<pad>")


def entry(name: str, answers: list[str]) -> dict[str, Any]:
    return {"id": name, "question": f"{name}?", "answers": [{"text": one, "answer_start": 0} for one in answers]}


def written(root: Path, *entries: dict[str, Any]) -> Path:
    paragraphs = [{"context": "Ann has nine nuts.", "qas": list(entries)}]
    (root / FILE).write_text(json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}))
    return root


def test_questions_come_in_order_with_all_their_answers(tmp_path: Path) -> None:
    written(tmp_path, entry("a", ["nine", "nine nuts"]), entry("b", ["Ann"]))
    context = "Ann has nine nuts."
    assert read_squad(tmp_path, READER) == [
        Question(name="a", text="a?", context=context, answers=("nine", "nine nuts")),
        Question(name="b", text="b?", context=context, answers=("Ann",)),
    ]


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ((), "No question"),
        ((entry("a", []),), "Question a has no answer"),
        ((entry("a", ["x"]), entry("a", ["y"])), "same id"),
        (({"id": "a", "question": "b"},), "Not SQuAD's form"),
        (({"id": 1, "question": "b", "answers": []},), "Not SQuAD's form"),
    ],
)
def test_another_form_is_refused(tmp_path: Path, entries: tuple[dict[str, Any], ...], problem: str) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        read_squad(written(tmp_path, *entries), READER)
    assert FILE in str(caught.value)


def test_word_pieces_from_vocab_txt(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nnut\n##s\ncafe\n")
    encoded = read_tokenizer(tmp_path, WORDS, READER).encode("Nuts, Café", add_special_tokens=False)
    assert encoded.ids == [4, 5, 1, 6] and encoded.offsets == [(0, 3), (3, 4), (4, 5), (6, 10)]


def test_byte_pairs_from_vocab_json_and_merges(tmp_path: Path) -> None:
    tokens = ["<s>", "<pad>", "</s>", "a", "n", "Ġ", "an", "Ġan"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na n\nĠ an\n")
    encoded = read_tokenizer(tmp_path, PAIRS, READER).encode("an an", add_special_tokens=False)
    assert encoded.ids == [6, 7] and encoded.offsets == [(0, 2), (3, 5)]  # without the space before it


def test_a_whole_tokenizer_neither_cuts_nor_pads(tmp_path: Path) -> None:
    made = word_tokenizer(WORDS)
    made.enable_truncation(3)
    made.enable_padding(length=9)
    (tmp_path / "tokenizer.json").write_text(made.to_str())
    (tmp_path / "vocab.txt").write_text("not read")
    assert len(read_tokenizer(tmp_path, WORDS, READER).encode("ann has nine nuts .").ids) == 5


@pytest.mark.parametrize(
    ("form", "files", "problem"),
    [
        (WORDS, {}, "vocab.txt"),
        (WORDS, {"vocab.txt": "[PAD]\n[CLS]\n[SEP]\n"}, r"no \[UNK\]"),
        (WORDS, {"vocab.txt": "[UNK]\n[CLS]\n[SEP]\n"}, r"The tokenizer has no \[PAD\]"),
        (WORDS, {"tokenizer.json": "{}"}, "Not a tokenizer"),
        (PAIRS, {"vocab.json": '{"a": 0}'}, "merges.txt"),
        (PAIRS, {"vocab.json": '{"a": 0}', "merges.txt": ""}, "The tokenizer has no <s>"),
        (PairForm(kind="unigram"), {}, "tokenizer.json"),
    ],
)
def test_a_tokenizer_that_is_not_whole_is_refused(
    tmp_path: Path, form: PairForm, files: dict[str, str], problem: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=problem):
        read_tokenizer(tmp_path, form, READER)

"""CPM's lines: encoded with their ends, cut into stretches, padded as published."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import cpm_samples
import numpy as np
import pytest

from models.datasets.base import DataError
from models.datasets.language.tokens.cpm_text import Lines, cpm_datasets
from models.datasets.language.tokens.next_token import IGNORED

LENGTH, VOCABULARY = 4, 40
PAD, END, BLANK, NEWLINE = 5, 7, 8, 9


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    cpm_samples.install(monkeypatch)


def lines(root: Path, part: int = 0) -> Lines:
    data = cpm_datasets(root, length=LENGTH, vocabulary=VOCABULARY, source="the source")[part]
    assert isinstance(data, Lines)
    return data


def letters(text: str) -> list[int]:
    return [10 + ord(letter) - ord("a") for letter in text]


def published_stretches(ids: list[int]) -> list[list[int]]:
    """As CPM-1-Finetune cuts a text: whole stretches while more than one remains, then the padded rest."""
    found = []
    while len(ids) > LENGTH + 1:
        found.append(ids[: LENGTH + 1])
        ids = ids[LENGTH + 1 :]
    return [*found, ids + [PAD] * (LENGTH + 1 - len(ids))]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 7, 8, 9, 13])
def test_stretches_are_those_published(tmp_path: Path, size: int) -> None:
    text = "abcdefghijklmn"[:size]
    train = lines(cpm_samples.write(tmp_path, f"xy\n{text}\n"))
    wanted = published_stretches([*letters("xy"), NEWLINE, END])
    wanted += published_stretches([*letters(text), NEWLINE, END])
    assert len(train) == len(wanted)
    for example, ids in zip((train[index] for index in range(len(train))), wanted, strict=True):
        assert example.inputs.tolist() == ids[:-1]
        assert example.targets.tolist() == [IGNORED if one == PAD else one for one in ids[1:]]
        assert example.tokens == sum(one != PAD for one in ids[:-1])
        assert example.inputs.dtype == example.targets.dtype == np.int64


def test_blanks_and_the_last_line_without_its_end(tmp_path: Path) -> None:
    train = lines(cpm_samples.write(tmp_path, "\ufeffa b\r\nc"))
    assert [train[index].inputs.tolist() for index in range(2)] == [
        [*letters("a"), BLANK, *letters("b"), NEWLINE],
        [*letters("c"), END, PAD, PAD],
    ]
    assert train[0].targets.tolist()[-1] == END


def test_both_files_are_read_and_travel(tmp_path: Path) -> None:
    evaluation = lines(cpm_samples.write(tmp_path, "abc\n", "d\nef\n"), 1)
    assert len(evaluation) == 2
    assert pickle.loads(pickle.dumps(evaluation))[1].inputs.tolist() == evaluation[1].inputs.tolist()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.txt", None),
        ("train.txt", b""),
        ("valid.txt", b"\xff\xfe"),
        ("bpe_3w_new/vocab.json", None),
        ("bpe_3w_new/vocab.json", b"{"),
        ("bpe_3w_new/vocab.json", b"[]"),
        ("bpe_3w_new/vocab.json", b'{"<pad>": 5}'),
        ("bpe_3w_new/chinese_vocab.model", None),
        ("bpe_3w_new/chinese_vocab.model", b"rubbish"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    victim = cpm_samples.write(tmp_path, "abc\n") / name
    victim.unlink()
    if content is not None:
        victim.write_bytes(content)
    with pytest.raises(DataError) as refusal:
        lines(tmp_path)
    assert refusal.value.where == str(victim)


def test_an_id_outside_the_vocabulary_is_refused(tmp_path: Path) -> None:
    cpm_samples.write(tmp_path, "abz\n")
    with pytest.raises(DataError, match=r"reach from 5 to 35.*ids from 0 to 34"):
        cpm_datasets(tmp_path, length=LENGTH, vocabulary=35, source="")


@pytest.mark.parametrize("package", ["jieba", "sentencepiece"])
def test_an_absent_package_is_named(tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=package) as refusal:
        lines(cpm_samples.write(tmp_path, "abc\n"))
    assert refusal.value.name == package

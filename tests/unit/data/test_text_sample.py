"""The sample corpus: its own tokenizers, parts that do not overlap, one cache that ranks may race for."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from models.data import text_sample as module
from models.data.base import DataError
from models.data.text_sample import Kind, corpus_files, held_out, text_sample

WORDS = ["value", "return", "Import", "list", "number", "été"]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small library in place of Python's own."""
    root = tmp_path / "library"
    generator = np.random.default_rng(0)
    for number in range(60):
        folder = root / ("package" if number % 2 else "tests" if number % 10 == 0 else ".")
        folder.mkdir(parents=True, exist_ok=True)
        lines = [" ".join(generator.choice(WORDS, 6)) for _ in range(20)]
        (folder / f"file{number}.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setattr(module, "MINIMUM_BYTES", 1000)
    monkeypatch.setattr(module.sysconfig, "get_path", lambda name: str(root))
    return root


def test_this_python_has_a_corpus() -> None:
    files = corpus_files()
    assert files == sorted(files)
    held = sum(map(held_out, files))
    assert 0.05 < held / len(files) < 0.2
    assert not any("site-packages" in path.parts for path in files)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_tokens_are_the_documents(library: Path, tmp_path: Path, kind: Kind) -> None:
    sample = text_sample(tmp_path, kind, 400)
    end = {"wordpiece": "[SEP]", "bpe": "<|endoftext|>"}[kind]
    for part, held in ((sample.train, False), (sample.evaluation, True)):
        ids = part.read(0, part.length)
        assert 0 <= ids.min() <= ids.max() < sample.tokenizer.get_vocab_size() <= 400
        ends = np.flatnonzero(ids == sample.tokenizer.token_to_id(end))
        documents = [path.read_text(encoding="utf-8") for path in corpus_files() if held_out(path) == held]
        assert len(ends) == len(documents) > 0
        first = sample.tokenizer.decode(ids[: ends[0]].tolist())
        assert first == (documents[0] if kind == "bpe" else " ".join(documents[0].lower().replace("é", "e").split()))
    assert not any("tests" in path.parts for path in corpus_files())


def test_the_second_time_comes_from_the_cache(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = text_sample(tmp_path, "bpe", 300)
    monkeypatch.setattr(module, "_prepare", lambda *_: pytest.fail("prepared again"))
    second = text_sample(tmp_path, "bpe", 300)
    assert second.train.read(0, 50).tolist() == first.train.read(0, 50).tolist()
    assert len(list(tmp_path.glob("text_*"))) == 1


def test_another_corpus_vocabulary_or_kind_is_another_cache_entry(library: Path, tmp_path: Path) -> None:
    text_sample(tmp_path, "bpe", 300)
    text_sample(tmp_path, "bpe", 310)
    text_sample(tmp_path, "wordpiece", 300)
    (library / "more.py").write_text("value = 1\n")
    text_sample(tmp_path, "bpe", 300)
    assert len(list(tmp_path.glob("text_*"))) == 4


def _ask(cache: Path, start: multiprocessing.synchronize.Barrier, answers: multiprocessing.Queue[list[int]]) -> None:
    start.wait()
    answers.put(text_sample(cache, "bpe", 300).train.read(0, 200).tolist())


def test_ranks_may_race(library: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(2), context.Queue()
    ranks = [context.Process(target=_ask, args=(tmp_path, start, answers)) for _ in range(2)]
    for rank in ranks:
        rank.start()
    first, second = answers.get(timeout=60), answers.get(timeout=60)
    for rank in ranks:
        rank.join()
    assert first == second == text_sample(tmp_path, "bpe", 300).train.read(0, 200).tolist()
    assert [path.name[:5] for path in tmp_path.iterdir() if path != library] == ["text_"]  # and no draft is left


def test_a_rank_that_comes_second_uses_what_is_there(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = module._prepare

    def slow(folder: Path, files: list[Path], kind: Kind, vocabulary: int) -> None:
        prepare(folder, files, kind, vocabulary)
        monkeypatch.setattr(module, "_prepare", prepare)
        text_sample(tmp_path, kind, vocabulary)  # another rank is faster

    monkeypatch.setattr(module, "_prepare", slow)
    assert text_sample(tmp_path, "bpe", 300).train.length > 0
    assert [path.name[:5] for path in tmp_path.iterdir() if path != library] == ["text_"]


def test_a_failed_preparation_leaves_nothing(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "_prepare", fail)
    with pytest.raises(MemoryError):
        text_sample(tmp_path, "bpe", 300)
    assert [path for path in tmp_path.iterdir() if path != library] == []


@pytest.mark.parametrize("name", ["tokenizer.json", "train.npy", "evaluation.npy"])
@pytest.mark.parametrize("kept", [None, 40])
def test_a_damaged_cache_says_what_to_delete(library: Path, tmp_path: Path, name: str, kept: int | None) -> None:
    text_sample(tmp_path, "bpe", 300)
    path = next(tmp_path.glob("text_*")) / name
    content = path.read_bytes()
    path.unlink()
    if kept is not None:
        path.write_bytes(content[:kept])
    with pytest.raises(DataError, match="once this folder is deleted") as refusal:
        text_sample(tmp_path, "bpe", 300)
    assert refusal.value.where == str(path)


def test_a_python_without_sources_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(DataError, match="too few source files"):
        text_sample(tmp_path, "bpe", 300)

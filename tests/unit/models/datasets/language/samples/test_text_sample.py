"""The sample corpus: its own tokenizers, parts that do not overlap, one cache that ranks may race for."""

from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path

import numpy as np
import pytest

from models.datasets.base import DataError
from models.datasets.language.samples import text_sample as module
from models.datasets.language.samples.text_sample import Kind, corpus_files, held_out, text_sample

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


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


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
def test_a_damaged_cache_is_said_and_done_without(
    library: Path, *, cache: Path, temporary: Path, name: str, kept: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    before = text_sample(cache, "bpe", 300).train.read(0, 200).tolist()
    path = next(cache.glob("text_*")) / name
    content = path.read_bytes()
    path.unlink()
    if kept is not None:
        path.write_bytes(content[:kept])
    again = text_sample(cache, "bpe", 300)
    assert again.train.read(0, 200).tolist() == before
    assert again.train.path.parent.parent.parent == temporary
    assert str(path) in caplog.text
    assert "once this folder is deleted" in caplog.text


def test_ids_that_the_tokenizer_lacks_are_damage(library: Path, cache: Path, temporary: Path) -> None:
    text_sample(cache, "bpe", 300)
    path = next(cache.glob("text_*")) / "train.npy"
    ids = np.load(path)
    ids[7] = 300
    np.save(path, ids)
    assert text_sample(cache, "bpe", 300).train.path.parent.parent.parent == temporary


@pytest.mark.parametrize("obstacle", ["a file", "below a file", "read-only"])
def test_a_cache_that_cannot_be_written_does_not_end_a_run(
    library: Path, cache: Path, temporary: Path, obstacle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("") if obstacle != "read-only" else cache.mkdir()
    if obstacle == "read-only":  # for root too
        make = tempfile.mkdtemp

        def refuse(*, dir: Path, prefix: str) -> str:
            if dir == cache:
                raise OSError(30, "Read-only file system")
            return make(dir=dir, prefix=prefix)

        monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    sample = text_sample(cache / "touchstone" if obstacle == "below a file" else cache, "bpe", 300)
    assert sample.train.path.parent.parent.parent == temporary
    assert 0 < sample.train.read(0, sample.train.length).max() < 300


def test_a_prepared_cache_is_read_where_nothing_can_be_written(
    library: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_sample(cache, "bpe", 300)
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: pytest.fail("written"))
    assert text_sample(cache, "bpe", 300).train.path.parent.parent == cache


def test_nowhere_to_keep_it_is_an_error_of_the_data(
    library: Path, cache: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_prepare", full)
    with pytest.raises(DataError, match="No space left on device"):
        text_sample(cache, "bpe", 300)


def test_a_python_without_sources_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(DataError, match="too few source files"):
        text_sample(tmp_path, "bpe", 300)

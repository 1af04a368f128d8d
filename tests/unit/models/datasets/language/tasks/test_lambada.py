"""Last words: LAMBADA's file with GPT-2's tokenizer files, and passages of the sample corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lambada_samples import MERGES, VOCABULARY, texts, write

from models.datasets.base import DataError
from models.datasets.language.samples.text_sample import corpus_files, held_out, train_tokenizer
from models.datasets.language.tasks.lambada import LastWords, gpt2_tokenizer, lambada_passages, sample_passages
from models.datasets.language.tokens.next_token import IGNORED


def test_last_word_is_all_that_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, texts("ab c bc", "c\n a bca"), vocabulary=VOCABULARY | {"\u010a": 9})
    passages = lambada_passages(tmp_path, 8, 10, source="")
    assert len(passages) == 2
    first = passages[0]  # ab, space, c | space+bc
    assert first.tokens == 3
    assert first.inputs.tolist() == [6, 3, 2, 0, 0, 0, 0, 0]
    assert first.targets.tolist() == [IGNORED, IGNORED, 5, *[IGNORED] * 5]
    second = passages[1]
    assert second.targets[second.targets != IGNORED].tolist() == [5, 0]  # " bca" is two tokens, both must be right
    assert second.tokens == int(np.flatnonzero(second.targets != IGNORED).max()) + 1


def test_bytes_outside_ascii(tmp_path: Path) -> None:
    write(tmp_path, texts("a é"))
    assert lambada_passages(tmp_path, 8, 9, source="")[0].targets.tolist()[:3] == [3, 7, 8]


def test_any_white_space_parts_words_but_only_line_feeds_part_passages(tmp_path: Path) -> None:
    vocabulary = VOCABULARY | {"\u010a": 9, "\u00e2": 10, "\u0122": 11, "\u00a8": 12, "\u0122\u00a8": 13}
    write(tmp_path, ['{"text": "a\\u2028c\\nb "}'.replace("\\u2028", "\u2028")], vocabulary=vocabulary)
    passages = lambada_passages(tmp_path, 8, 14, source="")
    assert len(passages) == 1
    assert passages[0].targets[passages[0].targets != IGNORED].tolist() == [4]


def test_a_long_passage_loses_its_beginning() -> None:
    passage = (np.arange(10), 2)
    example = LastWords([passage], 4)[0]
    assert example.inputs.tolist() == [5, 6, 7, 8]
    assert example.targets.tolist() == [IGNORED, IGNORED, 8, 9]
    assert example.tokens == 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a b"', "Line 2 is no JSON object"),
        ('{"txt": "a b"}', 'Line 2 is no JSON object with a "text"'),
        ('["a b"]', "Line 2 is no JSON object"),
        ('{"text": 7}', '"text" in line 2 is no string'),
        ('{"text": "ab"}', "Line 2 has fewer than two words"),
        ('{"text": "  "}', "Line 2 has fewer than two words"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path, [*texts("a b"), line])
    with pytest.raises(DataError, match=message) as refusal:
        lambada_passages(tmp_path, 8, 9, source="OpenAI")
    assert refusal.value.where == str(tmp_path / "lambada_test.json")
    assert "Get it from: OpenAI" in str(refusal.value)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [""])
    with pytest.raises(DataError, match="No passage"):
        lambada_passages(tmp_path, 8, 9, source="")


def test_ids_beyond_the_model_are_refused(tmp_path: Path) -> None:
    write(tmp_path, texts("a é"))
    with pytest.raises(DataError, match="vocabulary is 8"):
        lambada_passages(tmp_path, 8, 8, source="")


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "lambada_test.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, texts("a b"))
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match="Cannot read") as refusal:
        lambada_passages(tmp_path, 8, 9, source="")
    assert refusal.value.where == str(tmp_path / name)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    write(tmp_path, texts("a b"))
    (tmp_path / "lambada_test.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="Cannot read"):
        lambada_passages(tmp_path, 8, 9, source="")


@pytest.mark.parametrize("vocabulary", ["{", "[1]", '{"a": "x"}'])
def test_a_malformed_vocabulary_is_refused(tmp_path: Path, vocabulary: str) -> None:
    write(tmp_path, [], vocabulary=vocabulary)
    with pytest.raises(DataError) as refusal:
        gpt2_tokenizer(tmp_path, source="")
    assert refusal.value.where == str(tmp_path / "vocab.json")


@pytest.mark.parametrize("merge", ["a x", "ab", "a b c", "b a"])
def test_merges_of_another_vocabulary_are_refused(tmp_path: Path, merge: str) -> None:
    write(tmp_path, [], merges=[*MERGES, merge])
    with pytest.raises(DataError, match=f"Merge '{merge}") as refusal:
        gpt2_tokenizer(tmp_path, source="")
    assert refusal.value.where == str(tmp_path / "merges.txt")


def test_sample_passages_end_in_a_word_of_held_out_text() -> None:
    held = [path.read_text(encoding="utf-8", errors="replace") for path in corpus_files() if held_out(path)]
    tokenizer = train_tokenizer(held[:5], "bpe", 400)
    passages = sample_passages(tokenizer, 32)
    assert len(passages) == 1024
    for number in range(0, len(passages), 101):
        example = passages[number]
        word_ids = example.targets[example.targets != IGNORED]
        assert np.array_equal(
            example.targets[: example.tokens - len(word_ids)], np.full(example.tokens - len(word_ids), IGNORED)
        )
        word = tokenizer.decode(word_ids.tolist())
        assert word[0] == " "
        assert word[1:].isalpha()
        whole = tokenizer.decode([*example.inputs[: example.tokens], int(word_ids[-1])])
        readable = whole.lstrip("\ufffd")  # the first token may begin inside a character
        assert any(readable in text for text in held)
        assert tokenizer.encode(readable).ids[-len(word_ids) :] == word_ids.tolist()

"""SAMSum as llama-recipes' prompts, packed end to end."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import pytest
from mmlu_samples import DIALOGUES, byte_tokenizer

from models.datasets.base import DataError
from models.datasets.language.tasks.samsum import llama_tokenizer, samsum_documents
from models.datasets.language.tokens.next_token import IGNORED
from models.datasets.language.tokens.packed import Packed


def write(root: Path, content: object) -> Path:
    (root / "train.json").write_text(json.dumps(content))
    return root / "train.json"


def test_a_document_is_the_prompt_with_its_end(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    first, second = samsum_documents(write(tmp_path, DIALOGUES), tokenizer, source="")
    assert first[0] == 1 and first[-1] == 2
    assert tokenizer.decode(first) == (
        "Summarize this dialog:\nAmanda: I baked cookies.\r\nJerry: Sure!\n---\nSummary:\nAmanda baked cookies."
    )
    assert tokenizer.decode(second) == "Summarize this dialog:\nZoë: hi\n---\nSummary:\n"


def test_packed_sequences_are_the_documents_end_to_end(tmp_path: Path) -> None:
    documents = samsum_documents(write(tmp_path, DIALOGUES), byte_tokenizer(), source="")
    packed = Packed(documents, sequence_length=32, vocabulary=300, where=tmp_path)
    whole = list(chain(*documents))
    assert len(packed) == len(whole) // 32
    for number in range(len(packed)):
        ids = whole[32 * number : 32 * number + 32]
        assert packed[number].inputs.tolist() == ids
        assert packed[number].targets.tolist() == [*ids[1:], IGNORED]
        assert packed[number].tokens == 32


def test_ids_beyond_the_model_and_too_few_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="vocabulary is 5"):
        Packed([[1, 5]], sequence_length=1, vocabulary=5, where=tmp_path)
    for documents in ([], [[1], [2]]):
        with pytest.raises(DataError, match="too few"):
            Packed(documents, sequence_length=3, vocabulary=5, where=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "Not a list"),
        ([], "Not a list"),
        ([DIALOGUES[0], "text"], "Entry 1 has no texts"),
        ([{"dialogue": "a"}], "Entry 0 has no texts"),
        ([{"dialogue": "a", "summary": None}], "Entry 0 has no texts"),
    ],
)
def test_a_bad_entry_is_named(tmp_path: Path, content: object, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message) as refusal:
        samsum_documents(path, byte_tokenizer(), source="the hub")
    assert refusal.value.where == str(path)
    assert "Get it from: the hub" in str(refusal.value)


@pytest.mark.parametrize("content", [None, "", "{", '{"version": "1.0"}'])
def test_a_bad_tokenizer_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError) as refusal:
        llama_tokenizer(path, source="")
    assert refusal.value.where == str(path)


def test_a_tokenizer_without_the_end_is_refused(tmp_path: Path) -> None:
    text = byte_tokenizer().to_str().replace("</s>", "<e>")
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(DataError, match="has no </s>"):
        llama_tokenizer(tmp_path / "tokenizer.json", source="")

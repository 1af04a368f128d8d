"""MMLU: prompts to the letter, letters as tokens, all subjects or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmlu_samples import byte_tokenizer, rows_of, write_mmlu

from models.datasets.base import DataError
from models.datasets.language.tasks.mmlu import (
    SUBJECTS,
    MultipleChoice,
    Problem,
    Subject,
    choice_batch,
    prompt,
    read_mmlu,
)

SKY = Problem("What is blue?", ("grass", "sky", "sun", "milk"), 1)
SNOW = Problem("What is cold?", ("fire", "tea", "sun", "snow"), 3)
COLOURS = Subject("common_knowledge", [SKY, SNOW, SKY], [SNOW, SKY])
LONG = (
    "The following are multiple choice questions (with answers) about  common knowledge.\n\n"
    "What is blue?\nA. grass\nB. sky\nC. sun\nD. milk\nAnswer: B\n\n"
    "What is cold?\nA. fire\nB. tea\nC. sun\nD. snow\nAnswer:"
)


def test_prompt_is_that_of_the_authors_program() -> None:
    assert prompt(COLOURS, SNOW, [SKY]) == LONG


def test_there_are_57_subjects_and_none_may_be_missing(tmp_path: Path) -> None:
    assert len(set(SUBJECTS)) == 57
    write_mmlu(tmp_path)
    subjects = read_mmlu(tmp_path, source="")
    assert [one.name for one in subjects] == list(SUBJECTS)
    row = rows_of("virology", "test", 2)[1]
    assert subjects[55].asked[1] == Problem(row[0], tuple(row[1:5]), 1)
    assert {(len(one.solved), len(one.asked)) for one in subjects} == {(5, 2)}
    (tmp_path / "test/virology_test.csv").unlink()
    with pytest.raises(DataError, match=r"virology_test\.csv.*57 subjects"):
        read_mmlu(tmp_path, source="")


def test_an_example_ends_where_the_answer_belongs() -> None:
    tokenizer = byte_tokenizer()
    data = MultipleChoice([COLOURS], tokenizer, shots=1, length=400, vocabulary=300)
    assert len(data) == 2
    example = data[0]
    assert tokenizer.decode(example.inputs[: example.tokens].tolist()) == LONG
    assert example.inputs[0] == tokenizer.token_to_id("<s>")
    assert not example.inputs[example.tokens :].any()
    assert [tokenizer.id_to_token(int(one)) for one in example.letters] == ["ĠA", "ĠB", "ĠC", "ĠD"]
    assert (example.answer, data[1].answer) == (3, 1)
    batch = choice_batch([data[0], data[1]])
    assert batch["last"].tolist() == [data[0].tokens - 1, data[1].tokens - 1]
    assert (batch["samples"], batch["tokens"]) == (2, data[0].tokens + data[1].tokens)


@pytest.mark.parametrize(("shots_kept", "length"), [(3, 400), (2, 290), (1, 240), (0, 180)])
def test_solved_examples_are_left_out_from_the_first_on(shots_kept: int, length: int) -> None:
    tokenizer = byte_tokenizer()
    example = MultipleChoice([COLOURS], tokenizer, shots=3, length=length, vocabulary=300)[0]
    said = tokenizer.decode(example.inputs[: example.tokens].tolist())
    assert said == prompt(COLOURS, SNOW, COLOURS.solved[3 - shots_kept : 3])
    assert example.tokens < length


def test_a_question_that_is_too_long_alone_loses_its_beginning() -> None:
    tokenizer = byte_tokenizer()
    example = MultipleChoice([COLOURS], tokenizer, shots=3, length=40, vocabulary=300)[0]
    assert tokenizer.decode(example.inputs.tolist()) == LONG[-40:]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("q,a,b,c,d", "Question 2 is not"),
        ("q,a,b,c,d,E", "Question 2 is not"),
        ("q,a,b,c,d,A,B", "Question 2 is not"),
        ('q,"a,b,c,d,A', "Not comma-separated"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, row: str, message: str) -> None:
    write_mmlu(tmp_path)
    victim = tmp_path / "dev/anatomy_dev.csv"
    victim.write_text(f"q,a,b,c,d,A\n{row}\n")
    with pytest.raises(DataError, match=message) as refusal:
        read_mmlu(tmp_path, source="Hendrycks")
    assert refusal.value.where == str(victim)
    assert "Get it from: Hendrycks" in str(refusal.value)


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_question(tmp_path: Path) -> None:
    write_mmlu(tmp_path)
    (tmp_path / "test/anatomy_test.csv").write_bytes("\ufeffq,a,b,c,d,C\r\n".encode())
    assert read_mmlu(tmp_path, source="")[1].asked == [Problem("q", ("a", "b", "c", "d"), 2)]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00"])
def test_an_empty_or_binary_file_is_refused(tmp_path: Path, content: bytes) -> None:
    write_mmlu(tmp_path)
    (tmp_path / "test/anatomy_test.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"anatomy_test\.csv"):
        read_mmlu(tmp_path, source="")


def test_too_few_solved_examples_or_letters_in_pieces_are_refused() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    with pytest.raises(DataError, match="3 solved examples"):
        MultipleChoice([COLOURS], byte_tokenizer(), shots=5, length=400, vocabulary=300)
    alphabet = {one: number for number, one in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    plain = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    with pytest.raises(DataError, match="not one token each"):
        MultipleChoice([COLOURS], plain, shots=1, length=400, vocabulary=300)


def test_ids_beyond_the_model_are_refused() -> None:
    with pytest.raises(DataError, match="vocabulary is 100"):
        MultipleChoice([COLOURS], byte_tokenizer(), shots=1, length=400, vocabulary=100)[0]


def test_letters_are_the_same_for_every_question() -> None:
    data = MultipleChoice([COLOURS], byte_tokenizer(), shots=1, length=400, vocabulary=300)
    assert np.array_equal(data[0].letters, data[1].letters)

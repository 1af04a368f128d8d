"""MMLU (Hendrycks et al. 2020): questions with four answers about 57 subjects, asked after solved examples.

Prompts are those of the authors' program (hendrycks/test); where one is longer than the model's context, solved
examples are left out from the first on.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from models.datasets.base import Batch
from models.datasets.language.tokens.token_stream import Tokens, check_vocabulary
from models.datasets.reading import Reader

LETTERS = ("A", "B", "C", "D")
LAYOUT = (
    "{folder}/dev/<subject>_dev.csv and {folder}/{part}/<subject>_{part}.csv of all 57 subjects, without a header: "
    "question, four choices, the right one's letter"
)
COLUMNS = 2 + len(LETTERS)
_NAMES = """
abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology college_chemistry
college_computer_science college_mathematics college_medicine college_physics computer_security conceptual_physics
econometrics electrical_engineering elementary_mathematics formal_logic global_facts high_school_biology
high_school_chemistry high_school_computer_science high_school_european_history high_school_geography
high_school_government_and_politics high_school_macroeconomics high_school_mathematics high_school_microeconomics
high_school_physics high_school_psychology high_school_statistics high_school_us_history high_school_world_history
human_aging human_sexuality international_law jurisprudence logical_fallacies machine_learning management marketing
medical_genetics miscellaneous moral_disputes moral_scenarios nutrition philosophy prehistory professional_accounting
professional_law professional_medicine professional_psychology public_relations security_studies sociology
us_foreign_policy virology world_religions
"""
SUBJECTS = tuple(_NAMES.split())


class Problem(NamedTuple):
    """One question."""

    question: str
    choices: tuple[str, ...]
    answer: int
    """Number of the right choice."""

    def text(self, *, solved: bool) -> str:
        """The question as it is asked, with its answer and an empty line if `solved`."""
        choices = "".join(f"\n{letter}. {choice}" for letter, choice in zip(LETTERS, self.choices, strict=True))
        return f"{self.question}{choices}\nAnswer:" + (f" {LETTERS[self.answer]}\n\n" if solved else "")


class Subject(NamedTuple):
    """Solved examples and questions of one subject."""

    name: str
    solved: list[Problem]
    asked: list[Problem]

    @property
    def heading(self) -> str:
        """First lines of each prompt; the two spaces are the authors'."""
        return f"The following are multiple choice questions (with answers) about  {self.name.replace('_', ' ')}.\n\n"


class ChoiceExample(NamedTuple):
    """One prompt, padded with zeros behind its end."""

    inputs: Tokens
    """(length,)"""
    letters: Tokens
    """(4,): ids of the tokens that may follow."""
    answer: int
    """Number of the right letter."""
    tokens: int
    """Inputs that are not padding; the answer follows the last of them."""


def read_mmlu(folder: Path, *, part: str = "test", source: str) -> list[Subject]:
    """All subjects.

    Args:
        folder: holds `dev` and `test` or `val`.
        part: which questions are asked.
        source: where the data set is to be had.

    Raises:
        DataError: a file is missing or malformed; says which line.
    """
    reader = Reader(expected=LAYOUT.format(folder=folder, part=part), source=source)
    return [
        Subject(
            name,
            _problems(folder / "dev" / f"{name}_dev.csv", reader),
            _problems(folder / part / f"{name}_{part}.csv", reader),
        )
        for name in SUBJECTS
    ]


def _problems(path: Path, reader: Reader) -> list[Problem]:
    text = reader.text(path)
    problems = []
    with reader.reading(path, "Not comma-separated values"):
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    for number, row in enumerate(rows, start=1):
        if len(row) != COLUMNS or row[-1].strip() not in LETTERS:
            raise reader.error(f"Question {number} is not a question, {len(LETTERS)} choices and a letter", path)
        problems.append(Problem(row[0], tuple(row[1:-1]), LETTERS.index(row[-1].strip())))
    if not problems:
        raise reader.error("No question", path)
    return problems


class MultipleChoice(Dataset[ChoiceExample]):
    """Prompts of all subjects, one subject after another, encoded when they are asked for."""

    def __init__(self, subjects: list[Subject], tokenizer: Any, *, shots: int, length: int, vocabulary: int) -> None:
        """Prompts in a tokenizer's tokens.

        Args:
            subjects: the questions.
            tokenizer: a `tokenizers.Tokenizer`; what it puts before a text by itself stays.
            shots: solved examples before each question.
            length: of the model's context, in tokens.
            vocabulary: ids must be below it.

        Raises:
            DataError: the tokenizer has no token of its own for a letter, or a subject has too few solved examples.
        """
        self.subjects, self.tokenizer, self.shots = subjects, tokenizer, shots
        self.length, self.vocabulary = length, vocabulary
        self.places = [(one, problem) for one in subjects for problem in one.asked]
        reader = Reader(expected=f'one token for each of " A" to " D", and {shots} solved examples of each subject')
        stub = tokenizer.encode("Answer:").ids
        continued = [tokenizer.encode(f"Answer: {letter}").ids for letter in LETTERS]
        if any(ids[:-1] != stub for ids in continued) or len({ids[-1] for ids in continued}) < len(LETTERS):
            raise reader.error("The letters of answers are not one token each", "tokenizer.json")
        for one in subjects:
            if len(one.solved) < shots:
                raise reader.error(f"{len(one.solved)} solved examples", f"{one.name}_dev.csv")
        self.letters = np.array([ids[-1] for ids in continued], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> ChoiceExample:
        """One prompt. A question that is too long even alone loses its beginning."""
        subject, problem = self.places[index]
        for first in range(self.shots + 1):
            ids = self.tokenizer.encode(prompt(subject, problem, subject.solved[first : self.shots])).ids
            if len(ids) < self.length:  # the answer belongs to the context too, as FlagPerf counts
                break
        ids = np.array(ids[-self.length :], dtype=np.int64)
        check_vocabulary(ids, self.vocabulary, Path("tokenizer.json"), f"Question {index}: token")
        inputs = np.pad(ids, (0, self.length - len(ids)))
        return ChoiceExample(inputs, self.letters, problem.answer, len(ids))


def prompt(subject: Subject, problem: Problem, solved: list[Problem]) -> str:
    """A question after solved ones, up to where its answer belongs."""
    return subject.heading + "".join(one.text(solved=True) for one in solved) + problem.text(solved=False)


def choice_batch(examples: list[ChoiceExample]) -> Batch:
    """Join prompts of one length.

    Returns:
        int64 `input_ids` (batch, length), `letters` (batch, 4), `answer` and `last` (batch,), the place that the answer
        follows; `samples` and `tokens` as integers.
    """
    return {
        "input_ids": torch.from_numpy(np.stack([example.inputs for example in examples])),
        "letters": torch.from_numpy(np.stack([example.letters for example in examples])),
        "answer": torch.tensor([example.answer for example in examples]),
        "last": torch.tensor([example.tokens - 1 for example in examples]),
        "samples": len(examples),
        "tokens": sum(example.tokens for example in examples),
    }

"""SQuAD 1.1's questions (Rajpurkar et al. 2016), whose answers all stand in the text they are asked about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.datasets.reading import Reader

FILE = "dev-v1.1.json"


@dataclass(kw_only=True, slots=True, frozen=True)
class Question:
    """One question, with every answer that somebody gave to it."""

    name: str
    """Its id, unique in the data set."""
    text: str
    context: str
    answers: tuple[str, ...]


def read_squad(root: Path, reader: Reader) -> list[Question]:
    """Every question of `dev-v1.1.json`, in the file's order.

    Raises:
        DataError: the file is missing, is not of SQuAD's form, a question has no answer, or two have one id.
    """
    path = root / FILE
    content = reader.json(path)
    with reader.reading(path, "Not SQuAD's form"):
        questions = [
            _question(entry, paragraph["context"])
            for article in content["data"]
            for paragraph in article["paragraphs"]
            for entry in paragraph["qas"]
        ]
    if not questions:
        raise reader.error("No question", path)
    unanswered = next((one.name for one in questions if not one.answers), None)
    if unanswered is not None:
        raise reader.error(f"Question {unanswered} has no answer: SQuAD 2.0 has such questions, 1.1 has not", path)
    if len({one.name for one in questions}) < len(questions):
        raise reader.error("Two questions have the same id", path)
    return questions


def _question(entry: dict[str, Any], context: str) -> Question:
    texts = (entry["id"], entry["question"], context, *(answer["text"] for answer in entry["answers"]))
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text is no string")
    name, text, context, *answers = texts
    return Question(name=name, text=text, context=context, answers=tuple(answers))

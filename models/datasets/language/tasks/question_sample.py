"""Questions about Python's own names, in MMLU's form: keyword, exception, function or module?"""

from __future__ import annotations

import builtins
import keyword
import sys
from typing import Any

import numpy as np

from models.datasets.language.tasks.mmlu import LETTERS, Problem, Subject, prompt

KINDS = ("keyword", "error", "function", "module")
"""The choices of every question, in this order."""
MOST_PIECES = 2
"""Names of more tokens are left out."""
HEADING = "python_names"
"""Every prompt's subject: it does not give the answer away."""
DOCUMENTS, TOGETHER = 1024, 1
"""Documents to train on, and solved questions in each before the last."""
ASKED = 64
"""Questions to evaluate on, of each kind."""


def python_names(tokenizer: Any) -> list[list[str]]:
    """Short names of each kind; a name of two kinds counts for the first."""
    values = {name: getattr(builtins, name) for name in dir(builtins)}
    errors = [name for name, value in values.items() if isinstance(value, type) and issubclass(value, BaseException)]
    functions = [name for name in values if name.islower() and not name.startswith("_")]
    modules = sorted(name for name in sys.stdlib_module_names if not name.startswith("_"))
    kinds: list[list[str]] = []
    taken: set[str] = set()
    for names in (keyword.kwlist, errors, functions, modules):
        short = [name for name in names if name not in taken and len(tokenizer.encode(f" {name}").ids) <= MOST_PIECES]
        kinds.append(short)
        taken.update(short)
    return kinds


def _problems(names: list[str], kind: int, generator: np.random.Generator, count: int) -> list[Problem]:
    """Questions about names of one kind, drawn at random."""
    chosen = generator.integers(len(names), size=count).tolist()
    return [Problem(f"What is {names[number]}?", KINDS, kind) for number in chosen]


def _subject(names: list[str], kind: int, generator: np.random.Generator, solved: int, asked: int) -> Subject:
    return Subject(HEADING, _problems(names, kind, generator, solved), asked=_problems(names, kind, generator, asked))


def sample_documents(tokenizer: Any) -> list[list[int]]:
    """Token ids to train on: each document is a prompt about one kind, with its answer."""
    kinds, generator = python_names(tokenizer), np.random.default_rng(0)
    texts = []
    for kind in generator.integers(len(KINDS), size=DOCUMENTS).tolist():
        subject = _subject(kinds[kind], kind, generator, TOGETHER, 1)
        texts.append(prompt(subject, subject.asked[0], subject.solved) + f" {LETTERS[kind]}\n\n")
    return [encoded.ids for encoded in tokenizer.encode_batch(texts)]


def sample_subjects(tokenizer: Any, shots: int) -> list[Subject]:
    """Questions to evaluate on, a subject for each kind, whose solved questions have the asked ones' answer."""
    generator = np.random.default_rng(1)
    return [_subject(names, kind, generator, shots, ASKED) for kind, names in enumerate(python_names(tokenizer))]

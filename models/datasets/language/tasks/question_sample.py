"""Questions about Python's own names, in MMLU's form: keyword, exception, function or module?"""

from __future__ import annotations

import builtins
import keyword
import sys
from typing import Any

import numpy as np

from models.datasets.language.tasks.mmlu import Problem, Subject

KINDS = ("keyword", "error", "function", "module")
"""The choices of every question, in this order."""
MOST_PIECES = 2
"""Names of more tokens are left out."""
HELD_OUT = "python_names"
TRAINING = 4096


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


def random_problems(tokenizer: Any, count: int, seed: int) -> list[Problem]:
    """Questions about names drawn at random, every kind alike often."""
    kinds, generator = python_names(tokenizer), np.random.default_rng(seed)
    problems = []
    for answer in generator.integers(len(KINDS), size=count).tolist():
        name = kinds[answer][int(generator.integers(len(kinds[answer])))]
        problems.append(Problem(f"What is {name}?", KINDS, answer))
    return problems


def sample_documents(tokenizer: Any) -> list[list[int]]:
    """Token ids of solved questions to train on."""
    texts = [problem.text(solved=True) for problem in random_problems(tokenizer, TRAINING, 0)]
    return [encoded.ids for encoded in tokenizer.encode_batch(texts)]


def sample_subject(tokenizer: Any, shots: int, count: int) -> Subject:
    """Questions to evaluate on, with solved ones of their own."""
    problems = random_problems(tokenizer, shots + count, 1)
    return Subject(HELD_OUT, problems[:shots], problems[shots:])

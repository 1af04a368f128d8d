"""Snippets of the two kinds: equally many, in turns, without what would give them away."""

from __future__ import annotations

from language_samples import sample_spec

from models.datasets.language.tasks.comment_or_code import _texts, comment_or_code

FILE = '''"""A module
that tells
nothing.
"""
import os
import sys

# The first of two
# lines that say why.
value = 1
other = value


def build(name):
    # One line alone is too short.
    """Prose
    within code."""
    text = "words of prose"
    total = value + other
    return total
'''


def test_kinds_are_told_apart_and_docstrings_are_neither() -> None:
    texts = _texts([FILE, "# Two\n# lines.\n\n# Two\n# others!\n"], 9)
    assert sorted(texts[::2]) == [" total value other return total ", "import os import sys ", "value other value "]
    assert sorted(texts[1::2]) == [" The first of two lines that say why ", " Two lines ", " Two others "]
    assert texts == _texts([FILE, "# Two\n# lines.\n\n# Two\n# others!\n"], 9)
    assert len(_texts([FILE], 9)) == 2  # as many of one kind as of the other


def test_snippets_are_padded_and_labelled_in_turns() -> None:
    train, evaluation = comment_or_code(sample_spec().cache_path, length=16, vocabulary=512)
    assert len(train) == 4000 and 100 < len(evaluation) <= 512  # type: ignore[arg-type]
    for index in range(50):
        example = evaluation[index]
        assert example.label == index % 2
        assert example.input_ids[0] == 2 and example.input_ids[example.tokens - 1] == 3  # [CLS] and [SEP]
        assert not example.input_ids[example.tokens :].any()
        assert 2 < example.tokens <= len(example.input_ids) == 16
    assert any(example.tokens < 16 for example in (evaluation[index] for index in range(50)))

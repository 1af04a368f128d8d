"""The best answer of a window, against a search through all pairs of places."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.datasets.language.questions.windows import Window
from models.language.questions.spans import best_answer

CONTEXT = "one two three four five six"
LENGTH, FIRST = 12, 3


def window(own: list[bool] | None = None) -> Window:
    """Six words behind three other tokens, then a separator and two places of padding."""
    ends = np.cumsum([len(word) + 1 for word in CONTEXT.split()]) - 1
    begins = np.concatenate([[0], ends[:-1] + 1])
    return Window(
        question="q",
        answers=("one",),
        context=CONTEXT,
        first=FIRST,
        characters=np.stack([begins, ends], axis=1).astype(np.int32),
        own=np.array(own or [True] * 6),
    )


def searched(starts: np.ndarray, ends: np.ndarray, shown: Window, best: int, longest: int) -> tuple[float, str]:
    """Every pair of words; a place counts when fewer than `best` places that are no padding have a higher score."""
    real = range(FIRST + 6 + 1)
    found = (-math.inf, "")
    words = CONTEXT.split()
    for i in range(6):
        for j in range(i, min(6, i + longest)):
            high = (sum(one[place] > one[k + FIRST] for place in real) for one, k in ((starts, i), (ends, j)))
            score = float(starts[i + FIRST] + ends[j + FIRST])
            if shown.own[i] and all(count < best for count in high) and score > found[0]:
                found = (score, " ".join(words[i : j + 1]))
    return found


@pytest.mark.parametrize(("best", "longest"), [(20, 30), (3, 30), (20, 2), (2, 1)])
def test_it_is_the_best_of_all_pairs(best: int, longest: int) -> None:
    draw = np.random.default_rng(best)
    for number in range(60):
        starts, ends = draw.permutation(100)[: 2 * LENGTH].reshape(2, LENGTH).astype(np.float32)
        shown = window([bool(one) for one in draw.integers(0, 4, 6)] if number % 2 else None)
        answer = best_answer(starts, ends, shown, best=best, longest=longest)
        assert (answer.score, answer.text) == searched(starts, ends, shown, best, longest)


def test_padding_takes_no_part() -> None:
    draw = np.random.default_rng(0)
    starts, ends = draw.standard_normal((2, LENGTH)).astype(np.float32)
    answer = best_answer(starts, ends, window(), best=3, longest=30)
    for rubbish in (1e9, math.nan):
        starts[FIRST + 7 :] = ends[FIRST + 7 :] = rubbish
        assert best_answer(starts, ends, window(), best=3, longest=30) == answer


def test_a_score_that_is_no_number_gives_none() -> None:
    starts, ends = np.zeros((2, LENGTH), np.float32)
    ends[FIRST] = math.nan
    assert math.isnan(best_answer(starts, ends, window(), best=3, longest=30).score)

"""From scores of beginnings and ends to the best answer of a window."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.datasets.language.questions.windows import Window


class Answer(NamedTuple):
    """A piece of the text."""

    score: float
    """Of its beginning and its end together; -inf where there is none, NaN where a score of the window was."""
    text: str


def best_answer(
    starts: NDArray[np.float32], ends: NDArray[np.float32], window: Window, *, best: int, longest: int
) -> Answer:
    """The answer with the highest score.

    Candidates are the `best` highest beginnings with the `best` highest ends of the window: its padding takes no part,
    whatever the other rows of its batch are. An answer lies in the text, begins at a token that is the window's own,
    and has `longest` tokens at most.

    Args:
        starts: (length,), scores of each place as a beginning.
        ends: (length,), as an end.
        window: what the places show.
        best: places that are looked at.
        longest: tokens of an answer.
    """
    starts, ends = starts[: window.tokens], ends[: window.tokens]
    if np.isnan(starts).any() or np.isnan(ends).any():
        return Answer(math.nan, "")
    first, last = (np.argsort(-one, kind="stable")[:best] - window.first for one in (starts, ends))
    count = len(window.characters)
    begins = (first >= 0) & (first < count)
    begins[begins] = window.own[first[begins]]
    finishes = (last >= 0) & (last < count)
    tokens = last[None, :] - first[:, None] + 1
    allowed = begins[:, None] & finishes[None, :] & (tokens >= 1) & (tokens <= longest)
    if not allowed.any():
        return Answer(-math.inf, "")
    scores = starts[first + window.first][:, None] + ends[last + window.first][None, :]
    row, column = np.unravel_index(np.where(allowed, scores, -np.inf).argmax(), scores.shape)
    begin, end = window.characters[first[row], 0], window.characters[last[column], 1]
    return Answer(float(scores[row, column]), window.context[begin:end])

"""Questions with a blank and candidates to fill it, in the form that GLM reads (Du et al. 2021)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.datasets.base import Batch
from models.datasets.language.tokens.token_stream import Tokens

USUAL_CANDIDATES, USUAL_WORDS = 10, 4
"""Of a training question, and tokens of a candidate with its end; for random batches."""


class ClozeQuestion(NamedTuple):
    """One question; a row for each candidate."""

    text: Tokens
    """(candidates, length): the context, `[sop]`, the candidate without its end, padding."""
    positions: Tokens
    """(candidates, 2, length): places in the context, of the candidate that of the blank; places in the candidate."""
    context: Tokens
    """(candidates,): inputs that are context."""
    targets: Tokens
    """(candidates, length): the candidate's tokens and its end, from `[sop]` on."""
    counted: NDArray[np.bool_]
    """(candidates, length): where `targets` are tokens of the candidate."""
    right: NDArray[np.bool_]
    """(candidates,): several may be right; in training data the first alone."""


def cloze_batch(questions: list[ClozeQuestion]) -> Batch:
    """Join questions of one length.

    Returns:
        int64 `text` (questions, candidates, length), `positions` (questions, candidates, 2, length), `context`
        (questions, candidates), `places` and `targets` (questions, candidates, words); bool `counted` like these, all
        false for a candidate that pads a question, and `right` (questions, candidates); `samples` and `tokens`, of the
        real candidates, as integers.
    """
    most = max(len(question.text) for question in questions)
    words = max(int(question.counted.sum(axis=1).max()) for question in questions)
    rows: list[dict[str, NDArray[np.generic]]] = []
    tokens = 0
    for question in questions:
        missing = most - len(question.text)
        places = np.argsort(~question.counted, axis=1, kind="stable")[:, :words]
        counted = np.take_along_axis(question.counted, places, axis=1)
        tokens += int((np.where(counted, places, 0).max(axis=1) + 1).sum())
        rows.append(
            {
                "text": _repeated(question.text, missing),
                "positions": _repeated(question.positions, missing),
                "context": _repeated(question.context, missing),
                "places": _repeated(places, missing),
                "targets": _repeated(np.take_along_axis(question.targets, places, axis=1), missing),
                "counted": np.concatenate([counted, np.zeros((missing, words), dtype=np.bool_)]),
                "right": np.concatenate([question.right, np.zeros(missing, dtype=np.bool_)]),
            }
        )
    batch: Batch = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    return batch | {"samples": len(questions), "tokens": tokens}


def _repeated(values: NDArray[np.int64], missing: int) -> NDArray[np.int64]:
    """Rows for candidates that are not there: the first one's, as in GLM's own program."""
    return np.concatenate([values, np.repeat(values[:1], missing, axis=0)])


def random_cloze_batch(questions: int, length: int, vocabulary: int) -> Batch:
    """The same with random ids and texts of full length, on torch's default device."""
    shape = (questions, USUAL_CANDIDATES)
    words = min(USUAL_WORDS, length // 2)
    context = length - words
    place = torch.arange(length)
    positions = torch.stack([place.clamp(max=context - 1), (place - context + 1).clamp(min=0)])
    right = torch.zeros(shape, dtype=torch.bool)
    right[:, 0] = True
    return {
        "text": torch.randint(vocabulary, (*shape, length)),
        "positions": positions.expand(*shape, 2, length).contiguous(),
        "context": torch.full(shape, context),
        "places": (place[:words] + context).expand(*shape, words).contiguous(),
        "targets": torch.randint(vocabulary, (*shape, words)),
        "counted": torch.ones((*shape, words), dtype=torch.bool),
        "right": right,
        "samples": questions,
        "tokens": questions * USUAL_CANDIDATES * length,
    }


class Marks(NamedTuple):
    """Ids of the tokens that hold a question together."""

    begin: int
    mask: int
    end: int
    """Ends the context, and pads."""
    start_of_blank: int
    end_of_blank: int


def cloze_question(
    before: list[int], after: list[int], candidates: list[list[int]], right: list[int], *, marks: Marks, length: int
) -> ClozeQuestion:
    """A question from its tokens.

    Args:
        before: of the context up to the blank.
        after: of the context behind it.
        candidates: what could be in the blank.
        right: numbers of those that are right.
        marks: ids of the special tokens.
        length: inputs per candidate; it must hold them.
    """
    context = [marks.begin, *before, marks.mask, *after, marks.end]
    blank = 1 + len(before)
    text, targets = np.full((2, len(candidates), length), marks.end)
    targets[:] = 0
    positions = np.zeros((len(candidates), 2, length), dtype=np.int64)
    counted = np.zeros((len(candidates), length), dtype=np.bool_)
    for row, words in enumerate(candidates):
        stop = len(context) + 1 + len(words)
        text[row, :stop] = [*context, marks.start_of_blank, *words]
        targets[row, len(context) : stop] = [*words, marks.end_of_blank]
        counted[row, len(context) : stop] = True
        positions[row, 0, :stop] = [*range(len(context)), *[blank] * (stop - len(context))]
        positions[row, 1, len(context) : stop] = range(1, stop - len(context) + 1)
    return ClozeQuestion(
        text=text,
        positions=positions,
        context=np.full(len(candidates), len(context)),
        targets=targets,
        counted=counted,
        right=np.isin(np.arange(len(candidates)), right),
    )

"""Exact match and F1 as SQuAD's own evaluate-v1.1.py has them, over whole questions."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Lower case, without punctuation and articles, one space between words."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(answer: str, wanted: str) -> float:
    """1 where two answers are the same when normalised."""
    return float(normalised(answer) == normalised(wanted))


def f1(answer: str, wanted: str) -> float:
    """Harmonic mean of precision and recall of the words of an answer."""
    ours, theirs = normalised(answer).split(), normalised(wanted).split()
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0


class QuestionScore(Metric):
    """Mean over questions of how well the best answer over all of a question's windows fits the nearest wanted one.

    A share, not a percentage. NaN when a score was, or when nothing was asked.
    """

    higher_is_better = True
    full_state_update = False

    def __init__(self, rating: Callable[[str, str], float]) -> None:
        super().__init__()
        self.rating = rating
        self.best: dict[str, tuple[float, str, tuple[str, ...]]] = {}

    def update(self, question: str, score: float, answer: str, wanted: tuple[str, ...]) -> None:
        """Add the best answer of one window; of two with the same score the first one stays."""
        known = self.best.get(question)
        if known is None or score > known[0] or math.isnan(score):
            self.best[question] = (score, answer, wanted)

    def compute(self) -> Tensor:
        """The mean, a float64 scalar on the host."""
        ratings = [
            math.nan if math.isnan(score) else max(self.rating(answer, one) for one in wanted)
            for score, answer, wanted in self.best.values()
        ]
        return torch.tensor(math.fsum(ratings) / len(ratings) if ratings else math.nan, dtype=torch.float64)

    def reset(self) -> None:
        """Forget all questions."""
        super().reset()
        self.best = {}

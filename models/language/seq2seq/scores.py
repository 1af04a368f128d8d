"""How near a text comes to what a person wrote: BLEU of translations, ROUGE of summaries."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

ORDERS = 4
"""BLEU looks at one to four words in a row."""
ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class CorpusBleu(Metric):
    """BLEU of all translations together, 0 to 1, by sacrebleu: tokens of mteval-v13a, exponential smoothing.

    Kept are the counts that BLEU is made of, so that neither batches nor ranks change it (Post, arXiv:1804.08771). NaN
    before the first translation.
    """

    higher_is_better = True
    full_state_update = False
    counts: Tensor

    def __init__(self, *, lowercase: bool) -> None:
        """Nothing counted.

        Args:
            lowercase: compare without regard to case.
        """
        super().__init__()
        from sacrebleu.metrics import BLEU

        self.scorer = BLEU(lowercase=lowercase, force=True)
        # Words of translations, of references; then for each order of n-grams those that are right, and all.
        self.add_state("counts", torch.zeros(2 + 2 * ORDERS, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, translations: list[str], references: list[str]) -> None:
        """Add translations, each with its one reference."""
        found = self.scorer.corpus_score(translations, [references])
        counts = [found.sys_len, found.ref_len, *found.counts, *found.totals]
        self.counts += torch.tensor(counts, device=self.counts.device)

    def compute(self) -> Tensor:
        """BLEU, a float64 scalar on the host."""
        words, reference_words, *counts = self.counts.tolist()
        if not reference_words:
            return torch.tensor(torch.nan, dtype=torch.float64)
        right, all_ = counts[:ORDERS], counts[ORDERS:]
        found = self.scorer.compute_bleu(right, all_, words, reference_words, smooth_method="exp")
        return torch.tensor(found.score / 100, dtype=torch.float64)


def rouge(texts: list[str], references: list[str]) -> dict[str, list[float]]:
    """ROUGE F1 of each text, 0 to 1, by Google's rouge_score with its stemmer.

    Of one and two words in a row, and of the longest common subsequence: of the whole text (L), and sentence by
    sentence (Lsum). A sentence ends at `.`, `!` or `?` before a space; published figures were split by nltk's punkt.
    """
    found: dict[str, list[float]] = {name: [] for name in ROUGE}
    for text, reference in zip(texts, references, strict=True):
        scores = _rouge_scorer().score(_sentence_lines(reference), _sentence_lines(text))
        for name in ROUGE:
            found[name].append(float(scores[name].fmeasure))
    return found


@cache
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(ROUGE, use_stemmer=True)


def _sentence_lines(text: str) -> str:
    return "\n".join(SENTENCE_END.split(text.strip()))

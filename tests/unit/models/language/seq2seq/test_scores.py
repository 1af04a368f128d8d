"""BLEU and ROUGE: exact over batches and ranks, and what a hand counts."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
import sacrebleu
import torch
from torchmetrics import Metric

from models.language.seq2seq.scores import CorpusBleu, rouge

TEXTS = ["Der Hund beisst den Mann.", "ein Haus", "Das ist gut, oder nicht?", "nichts", "Der Mann geht heim ."]
REFERENCES = ["der Hund biss den Mann.", "ein Haus am See", "Das ist gut, nicht wahr?", "etwas", "Der Mann geht heim."]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("cuts", [[5], [1, 3, 5], [2, 4, 5]])
def test_bleu_is_sacrebleus_of_all_translations(cuts: list[int], lowercase: bool) -> None:
    metric = CorpusBleu(lowercase=lowercase)
    for first, stop in zip([0, *cuts], cuts, strict=False):
        metric.update(TEXTS[first:stop], REFERENCES[first:stop])
    wanted = sacrebleu.corpus_bleu(TEXTS, [REFERENCES], lowercase=lowercase).score / 100
    assert float(metric.compute()) == pytest.approx(wanted, abs=1e-12) and 0.2 < wanted < 0.8


def test_bleu_of_several_ranks_is_that_of_their_sum() -> None:
    whole, ranks = CorpusBleu(lowercase=True), [CorpusBleu(lowercase=True) for _ in range(3)]
    for number, (text, reference) in enumerate(zip(TEXTS, REFERENCES, strict=True)):
        whole.update([text], [reference])
        ranks[number % 3].update([text], [reference])
    joined = CorpusBleu(lowercase=True)
    joined.counts = torch.stack([rank.counts for rank in ranks]).sum(dim=0)  # what `dist_reduce_fx` does
    assert isinstance(joined, Metric) and joined._reductions["counts"] is not None
    assert float(joined.compute()) == float(whole.compute())
    assert joined.compute().dtype == torch.float64


def test_bleu_by_hand() -> None:
    """Of `a b c d x` against `a b c d e f`: 4/5, 3/4, 2/3, 1/2 of the n-grams, and five words instead of six."""
    metric = CorpusBleu(lowercase=False)
    metric.update(["a b c d x"], ["a b c d e f"])
    wanted = math.exp(1 - 6 / 5) * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert float(metric.compute()) == pytest.approx(wanted, rel=1e-12)


def test_bleu_of_nothing_is_no_number_and_of_nothing_right_zero() -> None:
    metric = CorpusBleu(lowercase=True)
    assert math.isnan(float(metric.compute()))
    metric.update([""], ["ein Wort"])
    assert float(metric.compute()) == 0
    metric.reset()
    assert math.isnan(float(metric.compute()))


def f1(right: int, said: int, wanted: int) -> float:
    return 2 * right / (said + wanted)


def test_rouge_by_hand() -> None:
    """Words in lower case without marks; `dogs` and `dog` are one word after stemming."""
    text, reference = "The dogs ran home. A man sat.", "A man sat! The dog ran."
    said = ["the", "dog", "ran", "home", "a", "man", "sat"]
    wanted = ["a", "man", "sat", "the", "dog", "ran"]
    found = rouge([text], [reference])
    assert found["rouge1"] == [pytest.approx(f1(sum((Counter(said) & Counter(wanted)).values()), 7, 6))]
    pairs = [Counter(pairwise(words)) for words in (said, wanted)]
    assert found["rouge2"] == [pytest.approx(f1(sum((pairs[0] & pairs[1]).values()), 6, 5))]
    assert found["rougeL"] == [pytest.approx(f1(3, 7, 6))]
    assert found["rougeLsum"] == [pytest.approx(f1(6, 7, 6))], "sentence by sentence all six words are found in order"


def test_rouge_of_an_empty_summary_is_zero() -> None:
    assert all(values == [0, 1] for values in rouge(["", "a b"], ["a b", "A b."]).values())

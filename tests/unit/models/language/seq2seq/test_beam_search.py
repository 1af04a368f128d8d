"""Beam search against a plain one written after fairseq's rules, sentence by sentence, with lists."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.language.seq2seq.beam_search import beam_search

PAD, END, VOCABULARY = 1, 2, 9
Model = Callable[[int, tuple[int, ...]], list[float]]
"""Logarithms of probabilities of the next word of a sentence, from the words so far."""


def noise(seed: int, *, of_end: float = 0.0) -> Model:
    """A model without any structure; the more `of_end`, the sooner its sentences end."""

    def model(sentence: int, words: tuple[int, ...]) -> list[float]:
        draw = random.Random(f"{seed} {sentence} {words}")
        scores = torch.tensor([draw.gauss(0, 2) + (of_end if word == END else 0) for word in range(VOCABULARY)])
        return scores.double().log_softmax(0).tolist()

    return model


def plain(model: Model, sentence: int, *, beam: int, longest: int, penalty: float) -> list[int]:
    going: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    complete: list[tuple[float, tuple[int, ...]]] = []
    for step in range(longest + 1):
        candidates = [
            (score + found, (*words, word))
            for score, words in going
            for word, found in enumerate(model(sentence, words))
            if word != PAD and (step < longest or word == END)
        ]
        candidates.sort(key=lambda one: -one[0])
        candidates = candidates[: 2 * beam]
        for score, words in candidates[:beam]:
            if words[-1] == END and len(words) > 1 and len(complete) < beam:
                complete.append((score / len(words) ** penalty, words))
        if len(complete) == beam:
            break
        going = [one for one in candidates if one[1][-1] != END][:beam]
    return list(max(complete, key=lambda one: one[0])[1])


class Rows:
    """A model for all sentences at once, which remembers the words of its rows."""

    def __init__(self, model: Model, beam: int) -> None:
        self.model, self.beam, self.calls = model, beam, 0
        self.words: list[tuple[int, ...]] = []

    def __call__(self, words: Tensor, origin: Tensor | None) -> Tensor:
        self.calls += 1
        if origin is None:
            assert words.unique().tolist() == [END]
            self.words = [()] * len(words)
        else:
            kept = [self.words[row] for row in origin.tolist()]
            self.words = [(*row, word) for row, word in zip(kept, words.tolist(), strict=True)]
        return torch.tensor([self.model(row // self.beam, found) for row, found in enumerate(self.words)])


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(("beam", "longest", "of_end"), [(1, 6, 0.0), (2, 5, 1.0), (3, 9, 2.0), (4, 20, 3.0)])
def test_translations_are_those_of_a_plain_search(beam: int, longest: int, of_end: float, penalty: float) -> None:
    for seed in range(3):
        model = noise(seed, of_end=of_end)
        options = {"beam": beam, "longest": longest}
        found = beam_search(
            Rows(model, beam), sentences=5, end=END, pad=PAD, length_penalty=penalty, **options
        ).tolist()
        for sentence, row in enumerate(found):
            wanted = plain(model, sentence, penalty=penalty, **options)
            assert row == wanted + [PAD] * (longest + 1 - len(wanted))


def test_one_beam_takes_the_likeliest_word_each_time() -> None:
    model = noise(5)
    (found,) = beam_search(Rows(model, 1), sentences=1, beam=1, longest=12, end=END, pad=PAD).tolist()
    words: tuple[int, ...] = ()
    while not words or words[-1] != END:
        scores = model(0, words)
        barred = {PAD} | (set() if words else {END})  # no translation is empty
        allowed = [END] if len(words) == 12 else [word for word in range(VOCABULARY) if word not in barred]
        words = (*words, max(allowed, key=scores.__getitem__))
    assert found[: len(words)] == list(words)


def test_the_search_ends_soon_after_all_sentences_have() -> None:
    rows = Rows(noise(0, of_end=9.0), 2)
    beam_search(rows, sentences=3, beam=2, longest=1000, end=END, pad=PAD)
    assert rows.calls == 16


def test_every_translation_ends_even_where_the_model_never_would() -> None:
    def endless(sentence: int, words: tuple[int, ...]) -> list[float]:
        return [-50.0 if word == END else math.log(1 / 8) for word in range(VOCABULARY)]

    found = beam_search(Rows(endless, 2), sentences=2, beam=2, longest=4, end=END, pad=PAD)
    assert found[:, 4].tolist() == [END, END] and not (found[:, :4] == END).any() and not (found == PAD).any()

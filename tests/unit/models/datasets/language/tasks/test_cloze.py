"""Cloze questions: tokens, positions and targets as GLM's paper has them, batches padded without effect."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from language_samples import recipe

from models.datasets.language.tasks.cloze import Marks, cloze_batch, cloze_question
from models.datasets.language.tasks.cloze_sample import ClozeSample, sample_questions

MARKS = Marks(begin=1, mask=2, end=0, start_of_blank=3, end_of_blank=4)


def test_a_question_is_the_papers_figure() -> None:
    """Du et al. 2021, figure 2: the blank's tokens have the place of [MASK], and count on from 1 among themselves."""
    question = cloze_question([10, 11], [12], [[20, 21], [22]], [1], marks=MARKS, length=12)
    assert question.text.tolist() == [
        [1, 10, 11, 2, 12, 0, 3, 20, 21, 0, 0, 0],
        [1, 10, 11, 2, 12, 0, 3, 22, 0, 0, 0, 0],
    ]
    assert question.positions[0].tolist() == [
        [0, 1, 2, 3, 4, 5, 3, 3, 3, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0],
    ]
    assert question.positions[1].tolist() == [
        [0, 1, 2, 3, 4, 5, 3, 3, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0],
    ]
    assert question.targets[0][question.counted[0]].tolist() == [20, 21, 4]
    assert question.targets[1][question.counted[1]].tolist() == [22, 4]
    assert np.flatnonzero(question.counted[0]).tolist() == [6, 7, 8]
    assert question.context.tolist() == [6, 6]
    assert question.right.tolist() == [False, True]


def test_a_batch_holds_the_places_and_words_of_every_candidate() -> None:
    questions = [
        cloze_question([10], [12], [[20, 21]], [0], marks=MARKS, length=12),
        cloze_question([10, 11], [12], [[20], [22, 23, 24]], [1], marks=MARKS, length=12),
    ]
    batch = cloze_batch(questions)
    assert batch["text"].shape == (2, 2, 12) and batch["positions"].shape == (2, 2, 2, 12)
    assert batch["places"][1, 1].tolist() == [6, 7, 8, 9]
    assert batch["targets"][1, 1].tolist() == [22, 23, 24, 4]
    assert batch["targets"][0, 0][batch["counted"][0, 0]].tolist() == [20, 21, 4]
    assert not batch["counted"][0, 1].any() and not batch["right"][0, 1]
    assert batch["right"].tolist() == [[True, False], [False, True]]
    assert (batch["samples"], batch["tokens"]) == (2, 8 + 8 + 10)


def test_sample_questions_can_be_learned_and_have_their_answer() -> None:
    train = ClozeSample(length=32, vocabulary=64, train=True)
    for number in range(50):
        question = train[number]
        assert question.right.tolist() == [True, *[False] * (len(question.right) - 1)]
        assert 4 <= len(question.right) <= 8
        assert question.text.max() < 64
        names = {tuple(row[mask][:2]) for row, mask in zip(question.targets, question.counted, strict=True)}
        assert len(names) == len(question.right)
    evaluation = ClozeSample(length=32, vocabulary=64, train=False)
    assert {int(evaluation[number].right.sum()) for number in range(50)} == {1, 2}
    assert torch.equal(*(torch.from_numpy(evaluation[3].text) for _ in range(2)))


def test_the_target_is_far_above_a_blind_choice() -> None:
    case = recipe("glm")
    evaluation = sample_questions(sequence_length=32, vocabulary=64).evaluation
    count = case.training.quality.samples or 0
    blind = float(np.mean([evaluation[number].right.mean() for number in range(count)]))
    assert blind == pytest.approx(0.27, abs=0.03)
    assert case.training.quality.targets["exact_match"] > 2 * blind

"""SQuAD's exact match and F1, against cases counted by hand and another way to compute them."""

from __future__ import annotations

import math
import re
from itertools import product

import pytest

from models.language.questions.squad_score import QuestionScore, exact_match, f1, normalised


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The Cat,  sat.", "cat sat"),
        ("a an the", ""),
        ("Theatre and another", "theatre and another"),
        ("U.S. troops", "us troops"),
        ("well-known\tfact", "wellknown fact"),
        ("the-cat", "thecat"),
    ],
)
def test_normalising(text: str, wanted: str) -> None:
    assert normalised(text) == wanted


@pytest.mark.parametrize(
    ("answer", "wanted", "share"),
    [
        ("the black cat", "black cat", 1.0),
        ("black cat sat", "black dog", 2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2)),
        ("cat cat", "cat", 2 * (1 / 2) * 1 / (1 / 2 + 1)),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("the", "a", 0.0),  # nothing is left of either; the official program gives 0 for it
    ],
)
def test_f1_by_hand(answer: str, wanted: str, share: float) -> None:
    assert f1(answer, wanted) == pytest.approx(share)


def test_f1_is_twice_the_common_words_over_all_words() -> None:
    """Each word of one answer is struck off the other as often as it is found there."""
    words = [" ".join(one) for length in range(1, 4) for one in product(("red", "blue", "the"), repeat=length)]
    for answer, wanted in product(words, repeat=2):
        ours, left = ([word for word in re.split(" ", text) if word != "the"] for text in (answer, wanted))
        total, common = len(ours) + len(left), 0
        for word in ours:
            if word in left:
                left.remove(word)
                common += 1
        assert f1(answer, wanted) == pytest.approx(2 * common / total if common else 0)
        assert exact_match(answer, wanted) == float(ours == [w for w in wanted.split() if w != "the"])


def test_a_question_is_judged_by_the_best_of_its_windows_and_the_nearest_of_its_answers() -> None:
    metric = QuestionScore(f1)
    wanted = ("forty two", "42")
    metric.update("first", 1.0, "forty two", wanted)
    metric.update("second", 3.0, "seven", ("nine",))
    metric.update("first", 2.0, "forty", wanted)  # a higher score in a later window
    metric.update("first", 2.0, "forty two", wanted)  # as high as the one before, which stays
    assert float(metric.compute()) == pytest.approx((2 / 3 + 0) / 2)
    metric.update("first", 5.0, "42", wanted)
    assert float(metric.compute()) == 0.5
    metric.reset()
    metric.update("third", -math.inf, "", ("nine",))
    assert float(metric.compute()) == 0


def test_what_is_no_number_is_no_score() -> None:
    metric = QuestionScore(exact_match)
    metric.update("first", 1.0, "nine", ("nine",))
    metric.update("first", math.nan, "", ("nine",))
    metric.update("first", 2.0, "nine", ("nine",))
    metric.update("second", 2.0, "nine", ("nine",))
    assert math.isnan(float(metric.compute()))

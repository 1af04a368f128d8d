"""Windows of a text: what each shows, to which a token belongs, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.datasets.base import DataError
from models.datasets.language.questions.number_facts import FACTS, QUESTIONS, number_facts, word_tokenizer
from models.datasets.language.questions.pair_tokenizer import PairForm
from models.datasets.language.questions.windows import QuestionWindows, _cut, random_window_batch, window_batch

FORMS = (PairForm(kind="wordpiece"), PairForm(kind="bpe", begin="<s>", separator="</s>", padding="<pad>", between=2))
SIZES = {"length": 32, "query_length": 5, "stride": 8, "vocabulary": 64}


@pytest.mark.parametrize("form", FORMS)
def test_windows_show_the_text_piece_by_piece(form: PairForm) -> None:
    tokenizer, questions = word_tokenizer(form), number_facts(evaluation=True)[:5]
    data = QuestionWindows(questions, tokenizer, form, **SIZES)
    special = [tokenizer.token_to_id(one) for one in (form.begin, form.separator, form.padding)]
    rows = [data[index] for index in range(len(data))]
    for question in questions:
        shown = [row for row in rows if row.window.question == question.name]
        words = question.context.split()
        room = SIZES["length"] - 5 - form.special
        for number, row in enumerate(shown):
            part = words[number * 8 : number * 8 + room]
            asked = question.text.split()[:5]
            wanted = [form.begin, *asked, *[form.separator] * form.between, *part, form.separator]
            ids = [tokenizer.token_to_id(one) for one in wanted]
            free = SIZES["length"] - len(ids)
            assert row.input_ids.tolist() == ids + [special[2]] * free
            head = 6 + form.between
            assert row.segment_ids.tolist() == [0] * head + [1] * (len(part) + 1) + [0] * free
            assert [question.context[a:b] for a, b in row.window.characters] == part
            assert row.window.tokens == len(ids) and row.window.answers == question.answers
        assert words[(len(shown) - 1) * 8 + room :] == []  # the last window ends with the text
        assert words[(len(shown) - 2) * 8 + room :] != []
        assert sum(int(row.window.own.sum()) for row in shown) == len(words)


@pytest.mark.parametrize(
    ("count", "room", "stride"), [(5, 10, 4), (10, 10, 4), (11, 10, 4), (40, 10, 4), (30, 4, 9), (0, 4, 2)]
)
def test_a_token_belongs_to_the_window_that_shows_most_around_it(count: int, room: int, stride: int) -> None:
    cut = _cut(count, room, stride)
    for token in range(count):
        scores = {
            number: min(token - start, stop - 1 - token) + 0.01 * (stop - start)
            for number, ((start, stop), _) in enumerate(cut)
            if start <= token < stop
        }
        best = max(scores, key=lambda number: (scores[number], -number))
        owners = [number for number, ((start, _), own) in enumerate(cut) if number in scores and own[token - start]]
        assert owners == [best]


def test_batches_mask_each_row_by_itself() -> None:
    form = FORMS[0]
    data = QuestionWindows(number_facts(evaluation=True)[:2], word_tokenizer(form), form, **SIZES)
    rows = [data[index] for index in (0, len(data) - 1)]
    batch, random = window_batch(rows), random_window_batch(2, 32, vocabulary=64, query_length=5)
    assert batch.keys() == random.keys()
    for name in ("input_ids", "segment_ids", "attended"):
        assert batch[name].shape == random[name].shape and batch[name].dtype == random[name].dtype
    lengths = [row.window.tokens for row in rows]
    assert batch["attended"].sum(dim=1).tolist() == lengths and lengths[0] > lengths[1]
    assert (batch["input_ids"][~batch["attended"]] == 0).all()
    assert batch["tokens"] == sum(lengths) and batch["samples"] == 2
    assert torch.equal(batch["input_ids"][1], torch.from_numpy(rows[1].input_ids))


def test_the_sample_asks_about_numbers_in_the_text() -> None:
    questions, others = number_facts(evaluation=True), number_facts(evaluation=False)
    assert len(questions) == QUESTIONS and questions == number_facts(evaluation=True)
    assert not {one.context for one in questions} & {one.context for one in others}
    for one in questions:
        facts = [fact.split() for fact in one.context.split(" .")[:-1]]
        assert len(facts) == FACTS
        thing, name = one.text.split()[2], one.text.split()[4]
        (count,) = [" ".join(fact[2:-1]) for fact in facts if (fact[0], fact[-1]) == (name, thing)]
        assert one.answers == (count,)


def test_ids_beyond_the_vocabulary_are_refused() -> None:
    form = FORMS[0]
    with pytest.raises(DataError, match="question fact-0"):
        QuestionWindows(number_facts(evaluation=True)[:1], word_tokenizer(form), form, **{**SIZES, "vocabulary": 10})


def test_an_empty_text_still_has_a_window() -> None:
    ((edges, own),) = _cut(0, 4, 2)
    assert edges == (0, 0) and own.dtype == np.bool_ and own.size == 0

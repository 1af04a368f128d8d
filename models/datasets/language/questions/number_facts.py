"""Questions about who has how many of what: made on any machine, in words of their own, and to be learned.

`ann has forty two apples . bob has seven pears .` … how many pears has bob?
"""

from __future__ import annotations

import random
from typing import Any

from models.datasets.language.questions.pair_tokenizer import UNKNOWN, PairForm
from models.datasets.language.questions.squad import Question
from models.datasets.language.samples.number_words import ENGLISH, ENGLISH_TENS, translation

NAMES = ("ann", "bob", "cid", "dora", "emil", "fred", "gina", "hugo", "ida", "jon", "kim", "leo")
THINGS = ("apples", "pears", "plums", "nuts", "eggs", "books", "pens", "cups")
FACTS = 12
"""Of a text: it takes several windows at the tiny scale."""
QUESTIONS = 256
MOST = 100
"""Numbers are below it."""


def number_facts(*, evaluation: bool) -> list[Question]:
    """The questions, the same on every machine; other ones to calibrate with than to evaluate on."""
    draw = random.Random(int(evaluation))
    return [_question(draw, number) for number in range(QUESTIONS)]


def _question(draw: random.Random, number: int) -> Question:
    pairs = [(name, thing) for name in NAMES for thing in THINGS]
    facts = [(*pair, " ".join(_spoken(draw.randrange(MOST)))) for pair in draw.sample(pairs, FACTS)]
    name, thing, answer = draw.choice(facts)
    context = " ".join(f"{who} has {count} {what} ." for who, what, count in facts)
    asked = f"how many {thing} has {name} ?"
    return Question(name=f"fact-{number}", text=asked, context=context, answers=(answer,))


def _spoken(number: int) -> list[str]:
    return translation([number]).english[:-1]


def word_tokenizer(form: PairForm) -> Any:
    """A `tokenizers.Tokenizer` that knows the model's special tokens and every word of the facts."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    special = (form.padding, UNKNOWN, form.begin, form.separator)
    words = (*special, "how", "many", "has", "?", ".", *NAMES, *THINGS, *ENGLISH, *ENGLISH_TENS)
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer: Any = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer

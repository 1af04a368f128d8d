"""Sentences of numbers in English and German words: a translation that is made on any machine, and can be learned.

German says units before tens, in one word, here in pieces: `forty two , seven .` is `zwei@@ und@@ vierzig , sieben .`
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from functools import cache

from torch.utils.data import Dataset

from models.datasets.language.translation.dictionary import Dictionary
from models.datasets.language.translation.pairs import Pair

ENGLISH = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
ENGLISH_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
GERMAN = (
    *("null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwoelf"),
    *("dreizehn", "vierzehn", "fuenfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"),
)
GERMAN_TENS = ("zwanzig", "dreissig", "vierzig", "fuenfzig", "sechzig", "siebzig", "achtzig", "neunzig")
LINKED = ("", "ein", *GERMAN[2:10])
"""Units before `und`."""
SHORTEST, LONGEST = 2, 4
"""Numbers in a sentence."""
HELD_OUT = 10
"""Every tenth sentence, by a hash of its English words, is evaluated on."""
TRAIN, EVALUATION = 20_000, 512
"""Sentences of each part."""


@dataclass(frozen=True, slots=True)
class Translation:
    """One sentence in pieces, and its German as people write it."""

    english: list[str]
    german: list[str]
    reference: str


def pieces() -> list[str]:
    """Every piece that occurs in either language, in a fixed order."""
    cut = {f"{word}@@" for word in (*LINKED[1:], "und")}
    return [",", ".", *ENGLISH, *ENGLISH_TENS, *GERMAN, *GERMAN_TENS, *sorted(cut)]


def translation(numbers: list[int]) -> Translation:
    """A sentence of numbers from 0 to 99."""
    english: list[str] = []
    german: list[str] = []
    for place, number in enumerate(numbers):
        mark = "." if place == len(numbers) - 1 else ","
        english += [*_english(number), mark]
        german += [*_german(number), mark]
    spoken = ["".join(_german(number)).replace("@@", "") for number in numbers]
    return Translation(english, german, f"{', '.join(spoken)}.")


def number_pairs(dictionary: Dictionary) -> tuple[NumberPairs, NumberPairs]:
    """Sentences to train on, and others to evaluate on, in the ids of `dictionary`; the same on every machine."""
    train, evaluation = (translations(count, held_out=part) for count, part in ((TRAIN, False), (EVALUATION, True)))
    return NumberPairs(train, dictionary, references=False), NumberPairs(evaluation, dictionary, references=True)


@cache
def translations(count: int, *, held_out: bool) -> tuple[Translation, ...]:
    """Random sentences of the training part or of the held-out one; the same on every machine, no two the same."""
    draw = random.Random(0)
    found: dict[str, Translation] = {}
    while len(found) < count:
        made = translation([draw.randrange(100) for _ in range(draw.randint(SHORTEST, LONGEST))])
        name = " ".join(made.english)
        if (zlib.crc32(name.encode()) % HELD_OUT == 0) == held_out:
            found[name] = made
    return tuple(found.values())


def _english(number: int) -> list[str]:
    tens, units = divmod(number, 10)
    if tens < 2:  # noqa: PLR2004 - up to nineteen they are words of their own
        return [ENGLISH[number]]
    return [ENGLISH_TENS[tens - 2], *([ENGLISH[units]] if units else [])]


def _german(number: int) -> list[str]:
    tens, units = divmod(number, 10)
    if tens < 2:  # noqa: PLR2004
        return [GERMAN[number]]
    return [*([f"{LINKED[units]}@@", "und@@"] if units else []), GERMAN_TENS[tens - 2]]


class NumberPairs(Dataset[Pair]):
    """Sentences of numbers in a model's ids."""

    def __init__(self, sentences: tuple[Translation, ...], dictionary: Dictionary, *, references: bool) -> None:
        self.sentences, self.dictionary, self.references = sentences, dictionary, references

    def __len__(self) -> int:
        return len(self.sentences)

    def sizes(self) -> list[int]:
        """Ids of the longer sentence of each pair, its end included."""
        return [max(len(one.english), len(one.german)) + 1 for one in self.sentences]

    def __getitem__(self, index: int) -> Pair:
        """One pair."""
        one = self.sentences[index]
        reference = one.reference if self.references else None
        return Pair(self.dictionary.encode(one.english), self.dictionary.encode(one.german), reference)

"""A language's catalogue, read from its `.po` file: whole messages, and templates of recorded sentences."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path

from runner.messages.template import FIELD, Template, fields_of, template, words

RECORDED = "recorded"
"""The context (`msgctxt`) of what reports record; the `{}` of its templates stand for what was filled in.

A translation may take the fields in another order, as `{1} … {0}`.
"""
STOP, COLON, SEMICOLON, AND = "。", "：", "；", "，且"  # noqa: RUF001
_KEPT = 1 << 16
"""Sentences whose translation is remembered: thousands of runs say the same."""
_SENTENCE_END = re.compile(r"(?<=[a-z)\]'\"0-9][.?!]) (?=[A-Z`'\"(0-9])")


class Catalogue:
    """English to another language.

    A recorded sentence is looked up whole, then by the template that it was made from, then by its parts: its lines,
    its sentences, what stands between `; ` or ` and `, and what follows a first `: `. What was filled in is translated
    in its turn; what a message has as a name (a rule's) may stand before `: `. A full stop at the end makes no
    difference.
    """

    def __init__(self, messages: dict[str, str], recorded: Iterable[tuple[str, str]]) -> None:
        """Take in the messages and the recorded sentences and templates, each with its translation."""
        self._messages = messages
        self._whole: dict[str, str] = {}
        templates: list[Template] = []
        for english, translation in recorded:
            for key, other in _forms(english, translation):
                if FIELD in key:
                    templates.append(template(key, other))
                else:
                    self._whole[key] = other
        self._templates = _by_word(templates)
        self.recorded = lru_cache(_KEPT)(self._recorded)

    def message(self, english: str) -> str:
        """The translation; that of a recorded sentence where no message has these words; else the English message."""
        return self._messages.get(english) or self.recorded(english)

    def _recorded(self, sentence: str) -> str:
        return self._messages.get(sentence) or self._part(sentence) or sentence

    def _part(self, text: str) -> str | None:
        """The translation of a sentence or of a part of one; None where nothing of it is known."""
        core = text.strip()
        if not core:
            return None
        bare = _bare(core)
        head, colon, rest = core.partition(": ")
        name = self._messages.get(head) if colon and head.isalpha() else None
        if name is not None:
            return name + COLON + (self._part(rest) or rest)
        found = self._whole.get(bare) or self._filled_in(core)
        if found is not None:
            return found if bare == core or found.endswith(STOP) else found + STOP
        for separator, joint in (("\n", "\n"), (_SENTENCE_END, ""), ("; ", SEMICOLON)):
            parts = separator.split(core) if isinstance(separator, re.Pattern) else core.split(separator)
            if len(parts) > 1:
                return self._joined(parts, joint)
        halves = [self._part(half) for half in core.split(" and ")] if " and " in core else [None]
        if None not in halves:
            return AND.join(half for half in halves if half)
        return self._joined([head, rest], COLON) if colon else None

    def _filled_in(self, sentence: str) -> str | None:
        candidates = {one for word in set(words(sentence)) for one in self._templates.get(word, ())}
        for one in sorted(candidates, key=lambda each: (-each.literal, each.pieces)):
            fields = one.fields(sentence)
            if fields is not None:
                return one.filled([self._part(field) or field for field in fields])
        return None

    def _joined(self, parts: list[str], joint: str) -> str | None:
        translated = [self._part(part) for part in parts]
        if not any(translated):
            return None
        return joint.join(other or part for other, part in zip(translated, parts, strict=True))


@cache
def catalogue(language: str) -> Catalogue:
    """The catalogue of a language."""
    from babel.messages.pofile import read_po

    with path_of(language).open("rb") as file:
        entries = [entry for entry in read_po(file, locale=language) if entry.id and entry.string]
    return Catalogue(
        {str(entry.id): str(entry.string) for entry in entries if entry.context != RECORDED},
        [(str(entry.id), str(entry.string)) for entry in entries if entry.context == RECORDED],
    )


def path_of(language: str) -> Path:
    """Where a language's catalogue lies."""
    return Path(__file__).parent / f"{language}.po"


def _bare(text: str) -> str:
    """Without spaces around it and without a full stop at its end; an ellipsis stays."""
    text = text.strip()
    return text if text.endswith("..") else text.removesuffix(".").removesuffix(STOP)


def _forms(english: str, translation: str) -> Iterator[tuple[str, str]]:
    """What is recognised by an entry: the whole, and of several lines the first, which is all that tables show."""
    yield _bare(english), _bare(translation)
    first, *more = english.split("\n")
    shown = translation.partition("\n")[0]
    if more and first.strip() and first.count(FIELD) == len(fields_of(shown)):
        yield _bare(first), _bare(shown)


def _by_word(templates: list[Template]) -> dict[str, list[Template]]:
    """Templates under the rarest word that their sentences have, so that a sentence is held against few of them."""
    sure = [(one, set(one.sure_words())) for one in templates]
    often = Counter(word for _, own in sure for word in own)
    found: dict[str, list[Template]] = defaultdict(list)
    for one, own in sure:
        if own:  # a form without words of its own would fit anything
            found[min(own, key=lambda word: (often[word], -len(word), word))].append(one)
    return dict(found)

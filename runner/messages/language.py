"""The language in which views are written, and the way from an English message to it.

A message is its own key, as in gettext. `zh.po` beside this file holds the Chinese ones; a test holds it complete. What
a report records (reasons of nulls, warnings, rules) is English and has its values filled in already: it is recognised
by the template it was made from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
VARIABLE = "TOUCHSTONE_LANG"
"""The environment variable that chooses the language where no argument does."""
_CURRENT: ContextVar[Language | None] = ContextVar("language", default=None)


def language() -> Language:
    """The language of this context: that of the block it is in, else of `TOUCHSTONE_LANG` where it names one."""
    current = _CURRENT.get()
    return current or _named(os.environ.get(VARIABLE)) or "en"


def chosen(argument: str | None) -> Language:
    """The language that somebody asks for: by an argument, else by `TOUCHSTONE_LANG`, else English.

    Raises:
        ValueError: there is no catalogue of that language; the message names those there are.
    """
    name, origin = (argument, "--lang") if argument is not None else (os.environ.get(VARIABLE) or "en", VARIABLE)
    found = _named(name)
    if found is not None:
        return found
    raise ValueError(f"{origin}={name}: there is no such language here. Choose one of: {', '.join(LANGUAGES)}.")


def _named(name: str | None) -> Language | None:
    return next((known for known in LANGUAGES if known == name), None)


@contextmanager
def speaking(chosen: Language) -> Iterator[None]:
    """Write in a language inside the block."""
    token = _CURRENT.set(chosen)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def tr(message: str, /, **values: Any) -> str:
    """A message in the current language, its `{name}` fields filled in after translation.

    Args:
        message: the English text, a literal in the source (or a constant of its module), so that the catalogue can be
            held complete.
        values: what its fields stand for.
    """
    text = message
    if language() != "en":
        from runner.messages.catalogue import catalogue

        text = catalogue(language()).message(message)
    return text.format(**values) if values else text


def tr_recorded(sentence: str) -> str:
    """A sentence that a report records, in the current language; as it is where the catalogue does not know it."""
    if language() == "en" or not sentence:
        return sentence
    from runner.messages.catalogue import catalogue

    return catalogue(language()).recorded(sentence)

"""A language's catalogue, read from its `.po` file: whole messages, and templates of recorded sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

RECORDED = "recorded"
"""The context (`msgctxt`) of templates: sentences of reports, whose `{}` stand for what was filled in.

A translation may take the fields in another order, as `{1} … {0}`.
"""
_FIELD = re.compile(r"\{\}")


@dataclass(kw_only=True, slots=True)
class Catalogue:
    """English to another language."""

    messages: dict[str, str]
    templates: list[tuple[re.Pattern[str], str]] = field(default_factory=list)

    def message(self, english: str) -> str:
        """The translation; the English message where there is none."""
        return self.messages.get(english, english)

    def recorded(self, sentence: str) -> str:
        """A recorded sentence by the template that it was made from, what was filled in recognised in its turn."""
        whole = self.messages.get(sentence)
        if whole is not None:
            return whole
        for pattern, translation in self.templates:
            found = pattern.fullmatch(sentence)
            if found is not None:
                return translation.format(*(self.recorded(part) for part in found.groups()))
        return sentence


@cache
def catalogue(language: str) -> Catalogue:
    """The catalogue of a language."""
    from babel.messages.pofile import read_po

    with (Path(__file__).parent / f"{language}.po").open("rb") as file:
        entries = [entry for entry in read_po(file, locale=language) if entry.id and entry.string]
    made = Catalogue(messages={})
    templates = []
    for entry in entries:
        if entry.context == RECORDED and "{}" in str(entry.id):
            templates.append((str(entry.id), str(entry.string)))
        else:
            made.messages[str(entry.id)] = str(entry.string)
    # The most literal first: a template with more words is a better match than one that is nearly all fields.
    templates.sort(key=lambda pair: len(_FIELD.sub("", pair[0])), reverse=True)
    made.templates = [(_pattern(english), translation) for english, translation in templates]
    return made


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("(.*?)".join(re.escape(part) for part in template.split("{}")), re.DOTALL)


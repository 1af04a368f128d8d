"""A recorded sentence's form: literal text with `{}` where something was filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass

FIELD = "{}"
_NUMBERED = re.compile(r"\{(\d*)\}")
_WORD = re.compile(r"[A-Za-z][A-Za-z']+")


def words(text: str) -> list[str]:
    """The words of a text, of two letters or more."""
    return _WORD.findall(text)


@dataclass(slots=True, frozen=True)
class Template:
    """A form and its translation."""

    pieces: tuple[str, ...]
    """The literal text around the fields: one more than there are fields."""
    translation: str

    @property
    def literal(self) -> int:
        """Letters that are no field: of two forms that fit, the one with more of them is meant."""
        return sum(map(len, self.pieces))

    def fields(self, sentence: str) -> list[str] | None:
        """What was filled in; None where the sentence has another form. A full stop at its end is no part of it.

        Each field is as short as it can be, which finds a match wherever there is one, in linear time.
        """
        found = self._fields(sentence.removesuffix("."))
        if found is not None or self.pieces[-1]:
            return found
        # What is filled in at the end may be nothing: the space before it is gone then, and a full stop is the form's.
        found = self._fields(f"{sentence} ")
        return None if found is None else [*found[:-1], ""]

    def _fields(self, sentence: str) -> list[str] | None:
        first, *middle, last = self.pieces
        if not sentence.startswith(first) or not sentence.endswith(last):
            return None
        position, end = len(first), len(sentence) - len(last)
        found: list[str] = []
        for piece in middle:
            at = sentence.find(piece, position, end)
            if at < 0:
                return None
            found.append(sentence[position:at])
            position = at + len(piece)
        return [*found, sentence[position:end]] if position <= end else None

    def filled(self, fields: list[str]) -> str:
        """The translation with its fields filled in; other braces in it are text."""
        order = iter(range(len(fields)))
        return _NUMBERED.sub(lambda found: fields[int(found[1]) if found[1] else next(order)], self.translation)

    def sure_words(self) -> list[str]:
        """Words that every sentence of this form has: those that no field touches."""
        return words(
            " ".join(
                # A word at the edge of a piece may be the rest of what was filled in.
                re.sub(r"[A-Za-z']+$", "", re.sub(r"^[A-Za-z']+", "", piece) if index else piece)
                if index < len(self.pieces) - 1
                else re.sub(r"^[A-Za-z']+", "", piece)
                for index, piece in enumerate(self.pieces)
            )
        )


def fields_of(translation: str) -> list[str]:
    """The fields of a recorded sentence's translation: `""` for `{}`, `"1"` for `{1}`."""
    return _NUMBERED.findall(translation)


def template(form: str, translation: str) -> Template:
    """A form with at least one field, and its translation, which may take the fields in another order: `{1} … {0}`."""
    return Template(tuple(form.split(FIELD)), translation)

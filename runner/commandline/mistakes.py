"""What a word of the command line that Hydra cannot read was probably meant to be."""

from __future__ import annotations

import string
from collections.abc import Sequence
from difflib import get_close_matches

from runner.commandline.catalogue import choices, group_of, groups, keys
from runner.commandline.quoting import quoted, shown
from runner.commandline.tools import TOOLS

UNQUOTED = frozenset(string.ascii_letters + string.digits + "_/-\\+.$%*@?|:, ()[]{}'\"")
"""Characters that Hydra's grammar reads without quotes, brackets and quotes themselves included."""
FORM = "is not of the form key=value. Example: model=bert precision=bf16."
LINE = 120
"""Characters of Hydra's own words that are repeated."""
LONGEST_NUMBER = 4300
"""Digits that Python turns into an integer."""


def stands_alone(index: int, overrides: Sequence[str]) -> str | None:
    """What is wrong with a word that is no `key=value`; null when it is one.

    Args:
        index: which word.
        overrides: all words but the flags.
    """
    word = overrides[index]
    before = overrides[index - 1] if index else ""
    after = overrides[index + 1] if index + 1 < len(overrides) else ""
    key, equals, value = word.partition("=")
    if word.startswith("="):
        return _no_spaces(before or "KEY", word[1:] or after or "VALUE")
    if after.startswith("=") and not equals:
        return _no_spaces(word, after[1:] or (overrides[index + 2] if index + 2 < len(overrides) else "VALUE"))
    if equals and (key != key.strip() or value != value.lstrip()):
        return _no_spaces(key.strip(), value.strip())
    if equals and not value and after and "=" not in after:
        return _no_spaces(key, after)
    if equals or word.startswith("~"):
        return None
    if before.endswith(",") or word.startswith(","):
        return f"{shown(word)!r} stands alone: a list has no spaces. Write: {shown(before + word)}"
    return _lone_word(word, after, first=index == 0, rest=overrides[index + 1 :])


def _lone_word(word: str, after: str, *, first: bool, rest: Sequence[str]) -> str:
    name, _, value = word.partition(" ")
    tool = next(iter(get_close_matches(name, TOOLS, n=1, cutoff=0.75)), None) if first else None
    if tool == "run":
        return f"{shown(name)!r} is not needed: python -m runner {shown(' '.join(rest))}".rstrip()
    if name in keys() and (value or after):
        return f"{shown(word)!r} {FORM} Write: {name}={shown(value or after)}"
    if tool is not None and group_of(word) is None:
        return f"{shown(name)!r} is not a part of a case. It is a command of its own: {_command(tool, rest)}"
    if group := group_of(word):
        return f"{shown(word)!r} {FORM} Write: {group}={word}"
    near = {choice: group for group in groups() for choice in choices(group)}
    if close := get_close_matches(word, near, n=1, cutoff=0.75):
        return f"{shown(word)!r} {FORM} Did you mean {near[close[0]]}={close[0]}?"
    return f"{shown(word)!r} {FORM} See: python -m runner --help"


def _command(tool: str, rest: Sequence[str]) -> str:
    return shown(" ".join([f"python -m runner.{tool}", *rest]))


def _no_spaces(key: str, value: str) -> str:
    return f"There must be no spaces around '='. Write: {shown(f'{key}={value}')}"


def unreadable(word: str, error: Exception) -> str:
    """Why `key=value` cannot be read, and how it is written so that it can."""
    key, _, value = word.partition("=")
    odd_key = next((char for char in key.lstrip("+~") if not (char.isalnum() or char in "_./@-:")), None)
    if odd_key is not None or not key.isascii() or not key:
        return f"{shown(key)!r} is not a key of the configuration. See: python -m runner --cfg job"
    if value.lstrip("+-").isdigit() and len(value) >= LONGEST_NUMBER:
        return f"{key}: a number of {len(value):,} digits is too long."
    odd = next((char for char in value if char not in UNQUOTED), None)
    if odd is not None:
        return f"{key}: the character {odd!r} is read only in quotes. Write: {_again(key, value)}"
    if value.strip().endswith(","):
        return f"{shown(word)} ends with a comma. Write: {shown(word.strip().rstrip(','))}"
    if any(char in "()[]{}'\"" for char in value):
        return f"{shown(word)}: brackets or quotes do not match. As plain text it is written: {_again(key, value)}"
    return f"{shown(word)} cannot be read ({str(error).splitlines()[0][:LINE]}). In quotes: {_again(key, value)}"


def _again(key: str, value: str) -> str:
    return shown(quoted(key, value))

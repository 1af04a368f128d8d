"""What the user typed, as messages show it: short, without secrets, and quoted so that it can be typed again."""

from __future__ import annotations

import re
import shlex

LONGEST = 80
"""Characters of an argument that a message shows."""
_ACCOUNT = re.compile(r"(\w+://)[^\s'\"]*@")
_NAMED = re.compile(r"((?:password|passwd|token|secret|api_?key|credential)[\w.]*['\"]?\s*[=:]\s*)[^\s&,'\"]+", re.I)


def without_secrets(text: str) -> str:
    """The text with the account of every address, and what is called a password or token, replaced by stars."""
    return _NAMED.sub(r"\1***", _ACCOUNT.sub(r"\1***@", text))


def shown(argument: str) -> str:
    """An argument as a message repeats it."""
    safe = without_secrets(argument)
    return safe if len(safe) <= LONGEST else f"{safe[:LONGEST]}… ({len(argument):,} characters)"


def quoted(key: str, value: str) -> str:
    """`key=value` whose value the command line's grammar takes as it stands, quoted for the shell.

    A list stays one, its items in quotes. Backslashes are the grammar's own only in front of a quote.
    """
    if value.startswith("[") and value.endswith("]") and not set(value[1:-1]) & set("[]{}"):
        items = (one.strip().strip("'\"") for one in value[1:-1].split(","))
        return shlex.quote(f"{key}=[{','.join(map(_in_quotes, items))}]")
    return shlex.quote(f"{key}={_in_quotes(value)}")


def _in_quotes(value: str) -> str:
    inner = re.sub(r'(\\*)"', r'\1\1\\"', value)
    inner = re.sub(r"(\\+)$", r"\1\1", inner)
    return f'"{inner}"'

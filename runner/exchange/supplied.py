"""What the user supplies by hand (`--set`): only what the file does not tell, and recorded as such."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.core import packages
from runner.core.errors import ConfigurationError

TEXTS = (
    *("task", "model", "framework", "compiler", "vendor", "chip", "precision", "topology", "scale", "data"),
    *("load", "measure", "unit"),
)
NUMBERS = ("devices", "batch_size", "gradient_accumulation_steps", "seed")
KEYS = (*TEXTS, *NUMBERS)
"""Keys of `Report.case` that a user may supply; `emulated` is none: another tool's run was a real one."""
_CHOSEN = {"task": "task", "model": "model", "vendor": "vendor", "precision": "precision"}
"""Keys whose value must be a choice of `conf/`, because figures or groups of comparison hang on it."""
_SCALES = ("reference", "tiny")


def parse_supplied(pairs: Sequence[str]) -> dict[str, Any]:
    """`model=bert devices=8` as keys and values of a case.

    Raises:
        ConfigurationError: not `key=value`, an unknown key, or a value that is no choice; names the nearest.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not text:
            raise ConfigurationError(f"--set {pair}: write key=value, as in --set model=bert devices=8.")
        if key not in KEYS:
            raise ConfigurationError(f"--set {pair}: no such key.{_near(key, KEYS)} The keys are {', '.join(KEYS)}.")
        if key in found and str(found[key]) != text:
            raise ConfigurationError(f"--set {key} is given twice: {found[key]} and {text}. Leave one out.")
        found[key] = _count(key, text) if key in NUMBERS else _choice(key, text)
    return found


def _count(key: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or (int(text) == 0 and key != "seed"):
        raise ConfigurationError(f"--set {key}={text}: it is a whole number above zero.")
    return int(text)


def _choice(key: str, text: str) -> str:
    offered: Sequence[str] = packages.choices(_CHOSEN[key]) if key in _CHOSEN else ()
    if key == "scale":
        offered = _SCALES
    if offered and text not in offered:
        raise ConfigurationError(f"--set {key}={text}: there is no such {key}.{_near(text, offered)}")
    return text


def _near(word: str, offered: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word, offered, n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""

"""What can be written on the command line: groups, their choices and every key, read from conf/ without composing."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from typing import Any

import yaml

from runner.core import packages
from runner.core.packages import SHIPPED as CONF


@cache
def groups() -> list[str]:
    """The groups, by name."""
    return sorted(path.name for path in CONF.iterdir() if path.is_dir() and any(path.glob("*.yaml")))


def choices(group: str) -> list[str]:
    """The choices of a group, those of installed packages and of the search path included."""
    return packages.choices(group)


def group_of(choice: str) -> str | None:
    """The group that has this choice."""
    return next((group for group in groups() if choice in choices(group)), None)


@cache
def keys() -> list[str]:
    """Every group and every dotted key that some choice of some group has."""
    found = {*groups(), *_flat("", yaml.safe_load((CONF / "config.yaml").read_text()))}
    offered = (path for path in CONF.glob("*/*.yaml") if path.stem not in packages.NOT_OFFERED[path.parent.name])
    for path in offered:
        found |= set(_flat(f"{path.parent.name}.", yaml.safe_load(path.read_text())))
    return sorted(key for key in found if not key.startswith(("hydra", "defaults", "tuning")))


def nearest(word: str, known: Iterable[str]) -> str:
    """` Did you mean X?` with the known word that is nearest to another one; nothing when none is near."""
    others = [one for one in known if one != word]
    ends = [one for one in others if one.endswith(f".{word}")]
    near = ends or get_close_matches(word, others, n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""


def nearest_key(key: str) -> str:
    """` Did you mean X?` for a key: one that ends the same way, else one spelt nearly so."""
    if said := nearest(key, keys()):
        return said
    last = key.rpartition(".")[2]
    return nearest(last, keys()) if last != key else ""


def _flat(prefix: str, values: Any) -> list[str]:
    if not isinstance(values, dict):
        return []
    return [name for key, value in values.items() for name in (f"{prefix}{key}", *_flat(f"{prefix}{key}.", value))]

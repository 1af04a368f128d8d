"""What can be written on the command line: groups, their choices and every key.

Read from conf/ and from the typed forms of its sections, without composing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import is_dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

import yaml

from hardware.spec import PrecisionSpec, VendorSpec
from models.datasets.spec import DataSpec
from models.recipe import Recipe
from runner.core import packages
from runner.core.load import Load
from runner.core.packages import SHIPPED as CONF

_EXPLAINED = re.compile(r"^  - (\w+): \w+ +# (.+)$", re.M)
FOLLOWING = ("published", "tuning")
"""Groups whose choice follows from the model and the vendor."""
SUITE = {"suite": "a list of cases, run as a sweep: with -m alone"}
"""The one group that is no part of a case."""
NEAR = 0.6
"""How alike two words are, as difflib counts it, before one is proposed for the other."""
TYPED = {"model": Recipe, "vendor": VendorSpec, "precision": PrecisionSpec, "data": DataSpec, "load": Load}
"""Sections with fields that no file of conf/ need give."""
RENAMED = {
    "accumulate": "gradient_accumulation_steps",
    "budget_samples": "max_train_samples",
    "clip_norm": "max_grad_norm",
    "total_steps": "total",
    "warmup_steps": "warmup",
    "workloads": "implementations",
}
"""Parts of a key to what they are called since a model has a section for each kind of task."""


@cache
def groups() -> list[str]:
    """The groups that one chooses from, by name."""
    there = (path.name for path in CONF.iterdir() if path.is_dir() and any(path.glob("*.yaml")))
    return sorted({*there} - {*FOLLOWING})


@cache
def explanations() -> dict[str, str]:
    """What each group decides, from the comments of `conf/config.yaml`."""
    return SUITE | dict(_EXPLAINED.findall((CONF / "config.yaml").read_text()))


def group_lines() -> str:
    """A line for each group, as `--help` shows it: its choices, and what it decides."""
    return "\n".join(f"{group}: {', '.join(choices(group))}   # {explanations()[group]}" for group in groups())


def choices(group: str) -> list[str]:
    """The choices of a group, those of installed packages and of the search path included."""
    return packages.choices(group)


def group_of(choice: str) -> str | None:
    """The group that has this choice."""
    return next((group for group in groups() if choice in choices(group)), None)


@cache
def keys() -> list[str]:
    """Every group and every dotted key that some choice of some group has."""
    found = {*groups(), *FOLLOWING, *_flat("", yaml.safe_load((CONF / "config.yaml").read_text()))}
    offered = (path for path in CONF.glob("*/*.yaml") if path.stem not in packages.NOT_OFFERED[path.parent.name])
    for path in offered:
        found |= set(_flat(f"{path.parent.name}.", yaml.safe_load(path.read_text())))
    for section, kind in TYPED.items():
        found |= set(_fields(f"{section}.", kind))
    return sorted(key for key in found if not key.startswith(("hydra", "defaults")) and key != "tuning")


def nearest(word: str, known: Iterable[str]) -> str:
    """` Did you mean X?` with the known word that is nearest to another one; nothing when none is near."""
    others = [one for one in known if one != word]
    ends = [one for one in others if one.endswith(f".{word}")]
    near = ends or get_close_matches(word, others, n=1, cutoff=NEAR)
    return f" Did you mean {near[0]}?" if near else ""


def nearest_choice(group: str, word: str, known: Iterable[str]) -> str:
    """` Did you mean X?`: the choices whose title holds the word (`huawei`, `gaudi`), else the one spelt nearly so."""
    lower = word.lower()
    titled = [choice for choice in known if lower in re.findall(r"[a-z0-9]+", title(group, choice).lower())]
    if titled and lower not in known:
        return f" Did you mean {' or '.join(titled)}?"
    return nearest(lower, [*known]) if lower not in known else f" Did you mean {lower}?"


def title(group: str, choice: str) -> str:
    """What a choice calls itself for people; empty where it does not."""
    path = packages.leaf(group, choice)
    said = re.search(r"^title: *(.*)$", path.read_text(), re.M) if path is not None else None
    return said[1] if said else ""


def renamed(key: str) -> str | None:
    """What a key of an earlier version is called now; None where it was none."""
    parts = [RENAMED.get(part, part) for part in key.split(".")]
    candidates = [".".join(parts)]
    if parts[0] == "model" and parts[1:2] not in ([], ["train"]):
        candidates.append(".".join(["model", "train", *parts[1:]]))
    return next((one for one in candidates if one != key and one in keys()), None)


def nearest_key(key: str) -> str:
    """` Did you mean X?` for a key: one that ends the same way, else one spelt nearly so."""
    if said := nearest(key, keys()):
        return said
    last = key.rpartition(".")[2]
    return nearest(last, keys()) if last != key else ""


def _fields(prefix: str, kind: Any) -> list[str]:
    found: list[str] = []
    for name, hint in get_type_hints(kind).items():
        if get_origin(hint) is ClassVar:
            continue
        found.append(f"{prefix}{name}")
        inner = next((one for one in (hint, *get_args(hint)) if is_dataclass(one)), None)
        if inner is not None and get_origin(hint) is not tuple:
            found += _fields(f"{prefix}{name}.", inner)
    return found


def _flat(prefix: str, values: Any) -> list[str]:
    if not isinstance(values, dict):
        return []
    return [name for key, value in values.items() for name in (f"{prefix}{key}", *_flat(f"{prefix}{key}.", value))]

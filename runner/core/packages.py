"""Where configuration is found: `conf/`, what installed packages bring, and what `hydra.searchpath` names.

The folders alone, without Hydra, for those who list choices; `runner.config.search_path` gives them to Hydra.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path

import conf
from hardware import chips
from hardware.packages import CONF, BrokenPackageError, brought, place
from models.datasets import catalogue

SHIPPED = Path(conf.__file__).parent
NOT_OFFERED: defaultdict[str, frozenset[str]] = defaultdict(frozenset, model=frozenset({"none"}))
"""Choices that only the engine makes, by group: no model goes with tasks that run none."""
LAYOUT = ("*.yaml", "*/*.yaml", "*/*/*.yaml")
"""Where a folder of configuration has its files: a group's choices, and a vendor's tuning."""

named: list[Path] = []
"""The folders that this command's `hydra.searchpath` names."""


@cache
def _installed() -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The folders of installed packages, and what is wrong with others."""
    found: list[Path] = []
    problems: list[str] = []
    for point in brought(CONF):
        try:
            folder = place(point)
        except BrokenPackageError as error:
            problems.append(str(error))
            continue
        found.append(folder)
        if is_empty(folder):
            problems.append(f"{folder}, the configuration of an installed package, holds no YAML file: {BUILD_HINT}")
    return tuple(found), tuple(problems)


BUILD_HINT = "the package was built without them; docs/adding.md shows a build system that takes them along"


def is_empty(folder: Path) -> bool:
    """Whether a folder holds no configuration."""
    return not any(path for pattern in LAYOUT for path in folder.glob(pattern))


def installed() -> tuple[Path, ...]:
    """The folders of configuration that installed packages bring."""
    return _installed()[0]


def added_files() -> list[Path]:
    """The files of the choices that packages and `hydra.searchpath` add."""
    return sorted(path for folder in (*installed(), *named) for path in folder.glob("*/*.yaml"))


def problems() -> list[str]:
    """What is wrong with what installed packages bring, a sentence each."""
    return [*_installed()[1], *chips.outside_problems(), *catalogue.outside_problems()]


def leaf(group: str, choice: str) -> Path | None:
    """The file of a choice; None where it is nowhere. A shipped one goes before all others."""
    shipped = SHIPPED / group / f"{choice}.yaml"
    if shipped.is_file():
        return shipped
    others = (folder / group / f"{choice}.yaml" for folder in (*installed(), *named))
    return next((path for path in others if path.is_file()), None)


def choices(group: str, *, outside: bool = True) -> list[str]:
    """The choices of a group by name.

    Args:
        group: a folder of `conf/`.
        outside: whether to list what packages and `hydra.searchpath` add, too.
    """
    folders = (SHIPPED, *installed(), *named) if outside else (SHIPPED,)
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")} - NOT_OFFERED[group])

"""Refuses a case that lacks something: a value that is an empty text, or the section that its task needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.config.schema import Case
from runner.core.errors import ConfigurationError
from runner.core.tasks import TASKS

MAY_BE_EMPTY = frozenset({"vendor.install", "vendor.container_options", "data.cache"})
"""Words for people, of which there may be none, and what an empty `TOUCHSTONE_CACHE` gives."""


SECTIONS = ("train", "infer")
"""Of a model's YAML: one for each kind of task that it can be used in."""


def check_texts(values: Mapping[str, Any]) -> None:
    """Refuse empty texts: `run.root=` would file at the root of the file system, `model.unit=` count nothing.

    Raises:
        ConfigurationError: names the key.
    """
    empty = next((key for key in _empty("", values) if key not in MAY_BE_EMPTY), None)
    if empty is not None:
        raise ConfigurationError(f"{empty} is empty. Give it a value, or leave {empty}= out.")


def check_sections(case: Case) -> None:
    """Refuse a model without any section that says what can be done with it, or without the one that its task needs.

    Raises:
        ConfigurationError: names the section.
    """
    if not case.has_model:
        return
    section = TASKS.find(case.task.name).section
    there = [name for name in SECTIONS if getattr(case.model, name) is not None]
    if not there or (section is not None and section not in there):
        needed = section or " or ".join(SECTIONS)
        has = f" It has {' and '.join(f'{name}:' for name in there)}." if there else ""
        raise ConfigurationError(
            f"model={case.model.name} has no section {needed}:, and task={case.task.name} needs it.{has} "
            "docs/adding.md shows one."
        )


def _empty(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _empty(f"{key}.{name}" if key else str(name), inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _empty(f"{key}.{number}", inner)
    elif isinstance(value, str) and not value.strip():
        yield key

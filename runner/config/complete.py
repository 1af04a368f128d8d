"""Refuses a case that lacks something: a value that is an empty text, or the section that its task needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.config.schema import Case
from runner.core.errors import ConfigurationError

MAY_BE_EMPTY = frozenset({"vendor.install", "vendor.container_options", "data.cache"})
"""Words for people, of which there may be none, and what an empty `TOUCHSTONE_CACHE` gives."""


def check_texts(values: Mapping[str, Any]) -> None:
    """Refuse empty texts: `run.root=` would file at the root of the file system, `model.unit=` count nothing.

    Raises:
        ConfigurationError: names the key.
    """
    empty = next((key for key in _empty("", values) if key not in MAY_BE_EMPTY), None)
    if empty is not None:
        raise ConfigurationError(f"{empty} is empty. Give it a value, or leave {empty}= out.")


def check_sections(case: Case) -> None:
    """Refuse a model without the section that says how it is trained: every task that runs a model reads it.

    Raises:
        ConfigurationError: names the section.
    """
    if case.has_model and case.model.train is None:
        raise ConfigurationError(
            f"model={case.model.name} has no section train:, and task={case.task.name} needs it: batch, optimizer, "
            "schedule, quality. docs/adding.md shows one."
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

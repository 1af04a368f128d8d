"""Whether what replaces a value of an architecture is of its kind: a width stays a positive number, a list a list."""

from __future__ import annotations

from typing import Any

from runner.config.division import Division
from runner.core.errors import ConfigurationError

SECTION = "model.architecture."


def check_kinds(changes: Division) -> None:
    """Refuse a value of another kind than the reference composition has in its place.

    Raises:
        ConfigurationError: names the key and both values.
    """
    for change in changes.changed:
        key, before, after = change["key"], change["reference"], change["value"]
        if not key.startswith(SECTION) or before is None:
            continue
        if after is None and before is not None:
            raise ConfigurationError(f"{key} has no value; the reference has {before}.")
        if not _alike(before, after):
            raise ConfigurationError(f"{key}={after!r:.60} is not like the reference's {before!r:.60}.")


def _alike(before: Any, after: Any) -> bool:
    if isinstance(before, bool) or isinstance(after, bool):
        return isinstance(before, bool) and isinstance(after, bool)
    if isinstance(before, list):
        return isinstance(after, list) and all(not before or _alike(before[0], one) for one in after)
    if isinstance(before, int):
        return isinstance(after, int) and (after > 0 or before == 0)
    if isinstance(before, float):
        return isinstance(after, int | float)
    return isinstance(after, type(before))

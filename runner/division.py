"""What a run changed against its reference composition: the same model with no vendor tuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.report.schema import Division
from runner.schema import Case

ALLOWED = ("batch_size", "accumulate", "memory_format")
"""Keys of `model` a vendor may change; compiler, topology and data-loader workers are choices of their own."""


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return flat


def division(case: Case, reference: Case) -> Division:
    """Closed when nothing but allowed keys differs; lists every difference with both values."""
    mine, theirs = flatten(case.to_dict()["model"]), flatten(reference.to_dict()["model"])
    changed = [
        {"key": f"model.{key}", "reference": theirs.get(key), "value": mine.get(key), "allowed": key in ALLOWED}
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    ]
    closed = all(change["allowed"] for change in changed)
    return Division(name="closed" if closed else "open", changed=changed)

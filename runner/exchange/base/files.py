"""Opening what might be a file of another tool."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from runner.core.errors import ConfigurationError

LARGEST = 64 << 20
"""Bytes; a larger JSON is no result of a tool that is read here."""


def json_of(path: Path) -> Any:
    """The content of a JSON file; None of anything else: a folder, another ending, no JSON, too large."""
    if path.suffix != ".json" or not path.is_file():
        return None
    status = path.stat()
    return _parsed(path, status.st_mtime_ns, status.st_size) if status.st_size <= LARGEST else None


@lru_cache(maxsize=4)
def _parsed(path: Path, changed_ns: int, size: int) -> Any:
    """Every reader asks for the same file in turn: it is parsed once."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None


def require(content: dict[str, Any], names: tuple[str, ...], *, source: Path, what: str) -> None:
    """Refuse a part of a file that lacks what every version known here has.

    Raises:
        ConfigurationError: names what is missing.
    """
    lacking = [name for name in names if name not in content]
    if lacking:
        raise ConfigurationError(
            f"{source}: {what} has no {', '.join(lacking)}. It is of a version that is not known here; known are "
            f"those with {', '.join(names)}."
        )

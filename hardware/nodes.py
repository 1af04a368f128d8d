"""Device nodes: what a driver makes in the file system shows that a device is there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def existing(patterns: Iterable[str], root: Path = Path("/")) -> list[Path]:
    """Paths below `root` that match any of the absolute glob patterns, sorted."""
    return sorted(node for pattern in patterns for node in root.glob(pattern.lstrip("/")))

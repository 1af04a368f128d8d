"""Device nodes: what a driver makes in the file system shows that a device is there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


def existing(patterns: Iterable[str], root: Path = Path("/")) -> list[Path]:
    """Paths below `root` that match any of the absolute glob patterns, sorted."""
    return sorted(node for pattern in patterns for node in root.glob(pattern.lstrip("/")))


def node_number(node: Path) -> int | None:
    """The number a device node's name ends with, by which its driver counts; null when there is none."""
    match = re.search(r"(\d+)$", node.name)
    return int(match.group()) if match else None

"""Device nodes: what a driver makes in the file system shows that a device is there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

DAVINCI_NODES = ("/dev/davinci[0-9]*",)
"""Of Huawei devices, as glob patterns; the vendor and its meter look for them."""

MTGPU_NODES = ("/dev/mtgpu*[0-9]",)
"""Of Moore Threads devices, as glob patterns; the vendor and its meter look for them."""


def existing(patterns: Iterable[str], root: Path = Path("/")) -> list[Path]:
    """Paths below `root` that match any of the absolute glob patterns, sorted."""
    return sorted(node for pattern in patterns for node in root.glob(pattern.lstrip("/")))


def node_number(node: Path) -> int | None:
    """The number a device node's name ends with, by which its driver counts; None when there is none."""
    match = re.search(r"(\d+)$", node.name)
    return int(match.group()) if match else None


def visible_node(nodes: Iterable[Path], index: int, *, shown: str | None, count: int) -> Path | None:
    """The node of a device by the framework's local index.

    Where a container shows a choice of the machine's nodes and a variable chooses too, the variable may count either;
    where neither chooses, there must be a node for every device. Anything else is not known: a node taken by guess
    would have another device's power measured.

    Args:
        nodes: the driver's nodes that are here.
        index: local index among the visible devices.
        shown: value of the variable that limits which are visible, plain numbers; None when it is not set.
        count: number of visible devices.
    """
    numbered = {number: node for node in nodes if (number := node_number(node)) is not None}
    if shown is None:
        numbers = sorted(numbered)
    else:
        parts = [part.strip() for part in shown.split(",") if part.strip()]
        from_zero = sorted(numbered) == list(range(len(numbered)))
        numbers = [int(part) for part in parts] if from_zero and all(map(str.isdigit, parts)) else []
    return numbered.get(numbers[index]) if len(numbers) == count and index < count else None

"""A tool's numbers of devices as the driver's: for tools of which it is not documented that they are the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hardware.bus.nodes import existing, node_number


def driver_numbers(listed: Sequence[int | None], nodes: Sequence[int]) -> dict[int, int]:
    """The driver's number by the tool's, where there is only one way to tell.

    In a container with some of the machine's devices a tool may keep their numbers or count from 0. A device that is
    lost shifts such numbers, so that both lists must be of one length.

    Args:
        listed: the numbers of a tool's rows; None where a row has none.
        nodes: the numbers of the device nodes.

    Returns:
        Nothing when the rows are not one to one with the nodes, or have other numbers than these two.
    """
    numbers = sorted(number for number in listed if number is not None)
    ordered = sorted(nodes)
    if len(numbers) != len(listed) or numbers not in (ordered, list(range(len(ordered)))):
        return {}
    return dict(zip(numbers, ordered, strict=True))


def numbers_of_nodes(listed: Sequence[int | None], patterns: Iterable[str], root: Path) -> list[int | None]:
    """The driver's number in place of each of the tool's, by the device nodes that are here; None where it is unclear.

    Args:
        listed: the numbers of a tool's rows; None where a row has none.
        patterns: of the driver's device nodes.
        root: of the file system.
    """
    nodes = [node_number(node) for node in existing(patterns, root)]
    known = driver_numbers(listed, [number for number in nodes if number is not None])
    return [None if number is None else known.get(number) for number in listed]

"""A tool's numbers of devices as the driver's: for tools of which it is not documented that they are the same."""

from __future__ import annotations

from collections.abc import Sequence


def driver_numbers(listed: Sequence[int | None], nodes: Sequence[int]) -> dict[int, int]:
    """The driver's number by the tool's, where there is only one way to tell.

    In a container with some of the machine's devices a tool may keep their numbers or count from 0. A device that is
    lost shifts such numbers, so that both lists must be of one length.

    Args:
        listed: the numbers of a tool's rows; null where a row has none.
        nodes: the numbers of the device nodes.

    Returns:
        Nothing when the rows are not one to one with the nodes, or have other numbers than these two.
    """
    numbers = sorted(number for number in listed if number is not None)
    ordered = sorted(nodes)
    if len(numbers) != len(listed) or numbers not in (ordered, list(range(len(ordered)))):
        return {}
    return dict(zip(numbers, ordered, strict=True))

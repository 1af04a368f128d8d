"""The largest batch size that fits: doubling, then bisection. Pure."""

from __future__ import annotations

from collections.abc import Callable


def largest_that_fits(
    start: int, fits: Callable[[int], bool], *, multiple: int = 1, largest: int = 65536
) -> int | None:
    """The largest multiple of `multiple` up to `largest` for which `fits` says yes; None where none does.

    It takes for granted that what is larger than one that does not fit does not fit either. No size is tried twice.

    Args:
        start: the first one that is tried, rounded down to a multiple, or the smallest one.
        fits: tries a size.
        multiple: of which the sizes are.
        largest: no larger one is tried.
    """
    most = largest // multiple
    if most < 1:
        return None
    first = min(max(1, start // multiple), most)
    good: int | None
    bad: int | None
    if fits(first * multiple):
        good, bad = _double(first, most, lambda count: fits(count * multiple))
    else:
        good, bad = _halve(first, lambda count: fits(count * multiple))
    if good is None:
        return None
    while bad is not None and bad - good > 1:
        middle = (good + bad) // 2
        if fits(middle * multiple):
            good = middle
        else:
            bad = middle
    return good * multiple


def _double(good: int, most: int, fits: Callable[[int], bool]) -> tuple[int, int | None]:
    """The last count that fits and the first that does not; None where even the most fits."""
    while good < most:
        count = min(2 * good, most)
        if not fits(count):
            return good, count
        good = count
    return good, None


def _halve(bad: int, fits: Callable[[int], bool]) -> tuple[int | None, int]:
    """The first count below that fits, None where not even one does; and the last that does not."""
    while bad > 1:
        count = bad // 2
        if fits(count):
            return count, bad
        bad = count
    return None, bad

"""A difference in words, said so that less of what is better low reads rightly."""

from __future__ import annotations

from runner.comparison.difference import Difference
from runner.messages import tr
from runner.record.definition import Definition
from runner.record.names import number

_DIGITS = 3
_LARGE = 2.0
"""A change larger than this factor is told as a factor, not in percent."""


def factor(ratio: float) -> str:
    """`1.20x`; with as many digits as tell it from 1."""
    return f"{ratio:.3f}x" if abs(ratio - 1) < 0.0995 else f"{number(ratio, _DIGITS)}x"  # noqa: PLR2004


def advantage(ratio: float, meaning: Definition) -> float:
    """A ratio turned so that above 1 is better."""
    return 1 / ratio if meaning.better == "lower" else ratio


def span(found: Difference, *, turned: bool) -> str:
    """The interval of a ratio, or of its inverse; why there is none."""
    if found.interval is None:
        return found.reason or ""
    low, high = found.interval
    ends = (1 / high, 1 / low) if turned else (low, high)
    return tr(
        "95 % interval {low} to {high}; {first} and {other} repeats",
        low=factor(ends[0]),
        high=factor(ends[1]),
        first=found.counts[0],
        other=found.counts[1],
    )


def percent(found: Difference) -> str:
    """`17 % less (95 % interval 12 % to 21 %)` of a figure that is no speed; whichever way is better."""
    assert found.ratio is not None
    if found.ratio == 1:
        return tr("the same")
    if found.ratio >= _LARGE or found.ratio <= 1 / _LARGE:
        return tr("{factor} as much", factor=factor(found.ratio))
    share = number(100 * abs(found.ratio - 1), 2)
    return tr("{share} % less", share=share) if found.ratio < 1 else tr("{share} % more", share=share)


def percent_span(found: Difference) -> str:
    """The interval of a change in percent, with its signs; why there is none."""
    if found.interval is None:
        return found.reason or ""
    low, high = (100 * (end - 1) for end in found.interval)
    return tr(
        "95 % interval {low} % to {high} %; {first} and {other} repeats",
        low=f"{low:+.1f}",
        high=f"{high:+.1f}",
        first=found.counts[0],
        other=found.counts[1],
    )


def short(found: Difference | None) -> str:
    """A difference as a cell of a table has it."""
    if found is None:
        return ""
    if found.outcome == "not compared":
        return found.reason or tr("not compared")
    verdicts = {
        "better": tr("better"),
        "worse": tr("worse"),
        "changed": tr("changed"),
        "no difference shown": tr("no difference shown"),
        "no interval": tr("no interval"),
    }
    return verdicts[found.outcome]

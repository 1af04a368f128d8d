"""A value that was measured, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from hardware.sampling.trace import Observed

GIB = 2**30
"""Bytes."""


@dataclass(slots=True, frozen=True)
class Missing:
    """Stands where a number should be; arithmetic with it is the caller's mistake."""

    reason: str


@dataclass(slots=True, frozen=True)
class Impossible(Missing):
    """Stands where a number came out that cannot be: an error of ours or of a catalogue, which the report says."""


Value = float | Missing
Values = dict[str, Value]


def known(value: float | None, reason: str) -> Value:
    """`value`, or Missing with `reason` when it is null."""
    return Missing(reason) if value is None else value


def observed(told: Observed) -> Value:
    """What a power trace tells."""
    return known(told.value, told.reason or "not measured")


def divide(numerator: Value, denominator: Value) -> Value:
    """The quotient; Missing passes through, and a zero denominator is Missing too."""
    if isinstance(numerator, Missing):
        return numerator
    if isinstance(denominator, Missing):
        return denominator
    return numerator / denominator if denominator else Missing("nothing to divide by: the time or count is zero")


def at_most_one(fraction: Value, reason: str) -> Value:
    """A fraction of what can be reached; Impossible above 1, with how much it came to and the `reason`."""
    if isinstance(fraction, Missing) or fraction <= 1.0:
        return fraction
    return Impossible(f"it comes to {100 * fraction:.4g} %, more than there is: {reason}")


def multiply(*factors: Value) -> Value:
    """The product; the first Missing passes through."""
    product = 1.0
    for factor in factors:
        if isinstance(factor, Missing):
            return factor
        product *= factor
    return product


def add(*terms: Value) -> Value:
    """The sum; the first Missing passes through."""
    total = 0.0
    for term in terms:
        if isinstance(term, Missing):
            return term
        total += term
    return total

"""A value that was measured, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from hardware.trace import Observed

GIB = 2**30
"""Bytes."""


@dataclass(slots=True, frozen=True)
class Missing:
    """Stands where a number should be; arithmetic with it is the caller's mistake."""

    reason: str


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

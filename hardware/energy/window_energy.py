"""Energy of a window that is made of several segments, and whether it was read often enough to be a figure at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import fsum

from hardware.energy.energy import SHORT_WINDOW_S, EnergyReading, together

FEW_SAMPLES = 10
"""With fewer readings of the power an energy is flagged `few_samples`."""
LEAST_SAMPLES = 3
"""With fewer there is none."""
MINOR = 0.05
"""What is to be known of less of the window than this is not said of the whole."""


def over_window(segments: Sequence[EnergyReading]) -> EnergyReading:
    """The readings of one scope's segments as one; None as soon as one is unknown, or read too seldom.

    A counter's joules are those between two of its readings, however few there are between them; a peak is never known
    from a few readings, and neither is the integral of power.

    Args:
        segments: at least one, in order.
    """
    first = segments[0]
    reason = next((one.reason for one in segments if one.joules is None), None)
    methods = {one.method for one in segments}
    n_samples = sum(one.n_samples for one in segments)
    seconds = fsum(one.seconds for one in segments)
    flags = _flags(segments, seconds)
    sampled = "integral" in methods
    if sampled and n_samples < FEW_SAMPLES:
        flags.add("few_samples")
    if sampled and reason is None and n_samples < LEAST_SAMPLES:
        reason = too_few(n_samples)
    joules = None if reason is not None else fsum(one.joules for one in segments if one.joules is not None)
    peaks = [one.peak_w for one in segments if one.peak_w is not None]
    return replace(
        first,
        joules=joules,
        seconds=seconds,
        method="none" if joules is None else "integral" if sampled else "counter",
        coverage=fsum(one.coverage * one.seconds for one in segments) / seconds,
        n_samples=n_samples,
        mean_w=None if joules is None else joules / seconds,
        peak_w=max(peaks) if peaks and n_samples >= LEAST_SAMPLES else None,
        flags=tuple(sorted(flags)),
        uncertainty_j=None if joules is None else together(segments),
        renewed_s=max((one.renewed_s for one in segments if one.renewed_s is not None), default=None),
        reason=reason,
        counter_over_integral=first.counter_over_integral if len(segments) == 1 else None,
    )


def _flags(segments: Sequence[EnergyReading], seconds: float) -> set[str]:
    """The segments' flags, each where it holds for more than a minor part of the window."""
    flags = {flag for one in segments for flag in one.flags}
    flagged_s = {flag: fsum(one.seconds for one in segments if flag in one.flags) for flag in flags}
    kept = {flag for flag in flags if flagged_s[flag] >= MINOR * seconds}
    return kept - ({"short_window"} if seconds >= SHORT_WINDOW_S else set())


def too_few(n_samples: int) -> str:
    """Why there is no figure."""
    return f"the meter was read {n_samples} times in the window, where a figure needs {LEAST_SAMPLES}"

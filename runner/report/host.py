"""What the whole machine did while it was measured, and how much of its processors others than the run took."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, isnan

from hardware.host import ISOLATED
from hardware.trace import HOST_PROCESSES, IO_COUNTERS, Trace
from runner.report.story import Span
from runner.report.values import GIB, Missing, Value, Values, add, divide, observed

OTHERS = "host/others_utilisation_mean"
HOST_NAMES = (
    *("host/disk_read_gib", "host/disk_written_gib", "host/network_sent_gib", "host/network_received_gib"),
    OTHERS,
)


def host(trace: Trace, spans: Sequence[Span]) -> Values:
    """`host/*` of the measured stretches: data read from a disk or another node shows here, and so do other users."""
    totals = [trace.io_totals(span.start_s, span.end_s) for span in spans]
    moved = {
        f"host/{name.removesuffix('_bytes')}_gib": divide(add(*(observed(one[name]) for one in totals)), GIB)
        for name in IO_COUNTERS
    }
    return {**moved, OTHERS: others(trace, spans)}


def others(trace: Trace, spans: Sequence[Span]) -> Value:
    """Share of all cores' time, 0..1, that others took: other processes, or other guests of the machine below.

    Readings are means over the time since the one before, so that the first may begin before its stretch.
    """
    machine = _readings(trace, "host")
    own = _readings(trace, HOST_PROCESSES)
    told = [
        max(0.0, machine[at_s] - own[at_s])
        for at_s in machine.keys() & own.keys()
        if any(span.start_s <= at_s <= span.end_s for span in spans)
    ]
    if told:
        return fsum(told) / len(told)
    return Missing(trace.reasons.get("host", "the processors' times were not read in this time"))


def isolated(share: Value) -> bool | None:
    """Whether others took little enough of the host's processors; null when that is not known."""
    return None if isinstance(share, Missing) else share < ISOLATED


def disturbance(share: Value, *, on_host: bool) -> list[str]:
    """What a reader must know of others on the host.

    Args:
        share: as of `others`.
        on_host: whether the measured device is the host's own processor.
    """
    if isinstance(share, Missing) or isolated(share):
        return []
    harm = "its figures are not those of an idle machine" if on_host else "what the host does for the device was slower"
    return [
        f"Not isolated: others took {share:.0%} of the host's processors in the window, so that {harm}. "
        "`python -m runner.doctor` names who is busy; end that and measure again."
    ]


def _readings(trace: Trace, source: str) -> dict[float, float]:
    """Utilisation by moment."""
    return {
        at_s: value
        for one in trace.series
        if one.source == source and one.scope == "host"
        for at_s, value in zip(one.numbers["monotonic_s"], one.numbers["utilisation"], strict=True)
        if not isnan(value)
    }

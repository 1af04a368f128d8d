"""What the whole machine did while it was measured, and how much of its processors others than the run took."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import fsum, isnan

from hardware.sampling.trace import HOST_PROCESSES, IO_COUNTERS, Trace
from hardware.stacks.host import ISOLATED
from runner.record.run_record import Span
from runner.record.values import GIB, Missing, Value, Values, add, divide, observed

OTHERS = "host/others_utilisation_mean"
HOST_NAMES = (
    *("host/disk_read_gib", "host/disk_written_gib", "host/network_sent_gib", "host/network_received_gib"),
    OTHERS,
)

LEAST_KNOWN = 0.5
"""Share of the window in which the processors' times must have been read: with less nobody knows who used them."""
_UNREAD = "the processors' times were not read in this time"


def host(trace: Trace, spans: Sequence[Span]) -> Values:
    """`host/*` of the measured segments: data read from a disk or another node shows here, and so do other users."""
    totals = [trace.io_totals(span.start_s, span.end_s) for span in spans]
    moved = {
        f"host/{name.removesuffix('_bytes')}_gib": divide(add(*(observed(one[name]) for one in totals)), GIB)
        for name in IO_COUNTERS
    }
    return {**moved, OTHERS: others(trace, spans)}


def others(trace: Trace, spans: Sequence[Span]) -> Value:
    """Share of all cores' time, 0..1, that others took: other processes, or other guests of the machine below.

    A reading is a mean over the time since the one before, and counts as far as that lies inside the segments.
    """
    machine = _readings(trace, "host")
    own = _readings(trace, HOST_PROCESSES)
    told: list[tuple[float, float]] = []
    for before_s, at_s in pairwise(sorted(machine)):
        inside_s = fsum(max(0.0, min(at_s, span.end_s) - max(before_s, span.start_s)) for span in spans)
        if at_s in own and inside_s > 0:
            told.append((inside_s, max(0.0, machine[at_s] - own[at_s])))
    known_s = fsum(inside_s for inside_s, _ in told)
    share = known_s / fsum(span.end_s - span.start_s for span in spans)
    if share >= LEAST_KNOWN:
        return fsum(inside_s * value for inside_s, value in told) / known_s
    read = f"the processors' times were read for {share:.0%} of the window" if told else _UNREAD
    return Missing(trace.reasons.get("host", read))


def isolated(share: Value) -> bool | None:
    """Whether others took little enough of the host's processors; null when that is not known."""
    return None if isinstance(share, Missing) else share < ISOLATED


def disturbance(share: Value, *, on_host: bool) -> list[str]:
    """What a reader must know of others on the host.

    Args:
        share: as of `others`.
        on_host: whether the measured device is the host's own processor.
    """
    if isinstance(share, Missing):
        unknown = f"Whether others used the host's processors in the window is not known: {share.reason}."
        return [unknown] if on_host else []
    if isolated(share):
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

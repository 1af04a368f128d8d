"""Figures of several machines as one job's: energies add up, peaks are of the node that has the highest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import fsum

from runner.record.values import Missing, Value, Values, divide

SUMS = frozenset(
    {
        *("energy/device_j", "energy/node_j", "power/device_mean_w", "power/node_mean_w", "power/device_idle_w"),
        *("host/disk_read_gib", "host/disk_written_gib", "host/network_sent_gib", "host/network_received_gib"),
        "convergence/energy_j_to_target",
    }
)
"""Of the whole job: the sum over its nodes."""
MEANS = frozenset({"device/utilisation_mean"})
"""Of a device, of which each node has as many."""
AT_ONCE = frozenset({"power/device_peak_w"})
"""Of one moment, which the nodes' clocks do not share."""


def over_nodes(parts: Sequence[Values], samples: int) -> Values:
    """The nodes' values as the job's; what one node did not measure is not known of the job.

    Args:
        parts: of each node, in order, all with the same names.
        samples: of the whole job in its measured window, for figures per sample.
    """
    if len(parts) == 1:
        return parts[0]
    values = {name: _joined(name, [part[name] for part in parts]) for name in parts[0]}
    if "energy/device_j" in values:
        joules = values["energy/device_j"]
        values["energy/per_sample_j"] = divide(joules, float(samples))
        values["energy/samples_per_j"] = divide(float(samples), joules)
    return values


def of_node(number: int, notes: Sequence[str], nodes: int) -> list[str]:
    """What a reader must know of one node's figures, with its number where there are several."""
    return list(notes) if nodes == 1 else [f"Node {number}: {note}" for note in notes]


def _joined(name: str, found: Sequence[Value]) -> Value:
    known = [value for value in found if not isinstance(value, Missing)]
    if len(known) < len(found):
        reasons = {
            value.reason: number for number, value in reversed(list(enumerate(found))) if isinstance(value, Missing)
        }
        if len(reasons) == 1 and not known:
            return Missing(next(iter(reasons)))
        reason, number = min(reasons.items(), key=lambda item: item[1])
        return Missing(f"on node {number}: {reason}")
    if name in AT_ONCE:
        return Missing("several nodes: their peaks are not of one moment")
    join: Callable[[Sequence[float]], float] = fsum if name in SUMS else _mean if name in MEANS else max
    return join(known)


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)

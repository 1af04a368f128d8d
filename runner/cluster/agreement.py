"""Whether the nodes of a job are alike: what must be equal, or the job is refused, and what a reader must know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.cluster.clock import NOTABLE_S
from runner.core.storage import LEAST_BYTES

MAY_DIFFER = frozenset({"torchvision", "torchmetrics", "transformers", "numpy", "mlflow"})
"""Packages whose difference changes no collective. Of all others, what a vendor or a framework brought among them,
every rank needs the same: they decide what is computed, or speak to each other."""
FREE_GIB = 1.0
"""Below this much room a node is named: logs and traces may fill it."""
MEMORY_SHARE = 0.02
"""Nodes whose memory differs by less have the same: firmware keeps some for itself."""
NAMED = 8
"""Nodes that a sentence names; of more it tells the number."""
Facts = Mapping[str, Any]


@dataclass(kw_only=True, slots=True)
class Disagreements:
    """In sentences that name nodes and values."""

    refused: list[str] = field(default_factory=list)
    """Why the job must not start."""
    warned: list[str] = field(default_factory=list)
    """What a reader of its result must know."""


def disagreements(facts: Sequence[Facts], *, devices: int | None = None) -> Disagreements:
    """Compare the nodes of a job.

    Args:
        facts: of each node, by its number: what `node_facts` found, and `clock_offset_s` as the head measured it (its
            clock less the head's, seconds; None or absent: not measured).
        devices: how many each node must have; None: nobody asks.
    """
    found = Disagreements()
    for name in _all_packages(facts):
        told = found.warned if name in MAY_DIFFER else found.refused
        told += _differing(name, facts, lambda one, name=name: one["packages"].get(name))  # type: ignore[misc]
    found.refused += _differing("Touchstone's source", facts, lambda one: one["source"])
    found.refused += _differing("driver", facts, lambda one: one["driver"])
    found.refused += _differing("Python", facts, lambda one: _minor(one["python"]))
    found.refused += _too_few(facts, devices)
    found.refused += _full(facts)
    found.warned += _differing("chips", facts, lambda one: _chips(one["devices"]["chips"]))
    found.warned += _differing("processor", facts, lambda one: one["cpu"])
    found.warned += _differing("usable cores", facts, lambda one: one["cores"])
    found.warned += _memory(facts)
    found.warned += _differing("kernel", facts, lambda one: one["kernel"])
    found.warned += _nearly_full(facts)
    found.warned += _last_in_line(facts)
    found.warned += _clocks(facts)
    return found


def _all_packages(facts: Sequence[Facts]) -> list[str]:
    return list(dict.fromkeys(name for one in facts for name in one["packages"]))


def _differing(what: str, facts: Sequence[Facts], value: Callable[[Facts], Any]) -> list[str]:
    """One sentence where the nodes tell different values, the most frequent first; none where they agree."""
    groups: dict[Any, list[int]] = {}
    for number, one in enumerate(facts):
        groups.setdefault(value(one), []).append(number)
    if len(groups) < 2:  # noqa: PLR2004 -- one value: agreement
        return []
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    told = [f"{'none' if found is None else found} on {_nodes(numbers, facts)}" for found, numbers in ordered]
    return [f"The nodes differ in {what}: {'; '.join(told)}."]


def _nodes(numbers: Sequence[int], facts: Sequence[Facts]) -> str:
    """`node 1 (gpu-b)`, `nodes 0, 2 (gpu-a, gpu-c)`, `500 nodes`."""
    if len(numbers) > NAMED:
        return f"{len(numbers)} nodes"
    hosts = ", ".join(str(facts[number]["host"]) for number in numbers)
    word = "node" if len(numbers) == 1 else "nodes"
    return f"{word} {', '.join(map(str, numbers))} ({hosts})"


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _chips(chips: Mapping[str, int] | None) -> str | None:
    return None if chips is None else ", ".join(f"{count} x {name}" for name, count in chips.items()) or "no device"


def _too_few(facts: Sequence[Facts], devices: int | None) -> list[str]:
    """Nodes that show fewer devices than asked for, by how many they show."""
    short: dict[int, list[int]] = {}
    for number, one in enumerate(facts):
        visible = one["devices"]["visible"]
        if devices is not None and visible is not None and visible < devices:
            short.setdefault(visible, []).append(number)
    return [
        f"topology.devices={devices}, and {visible} can be seen on {_nodes(numbers, facts)}."
        for visible, numbers in sorted(short.items())
    ]


def _full(facts: Sequence[Facts]) -> list[str]:
    """Nodes that cannot write any more."""
    return [
        f"The disk that holds {one['folder']} is full on {_nodes([number], facts)}. Free space there."
        for number, one in enumerate(facts)
        if one["free_gib"] is not None and one["free_gib"] * 2**30 < LEAST_BYTES
    ]


def _nearly_full(facts: Sequence[Facts]) -> list[str]:
    return [
        f"There is {one['free_gib']:.2f} GiB of room left for {one['folder']} on {_nodes([number], facts)}."
        for number, one in enumerate(facts)
        if one["free_gib"] is not None and LEAST_BYTES <= one["free_gib"] * 2**30 < FREE_GIB * 2**30
    ]


def _memory(facts: Sequence[Facts]) -> list[str]:
    amounts = [one["memory_gib"] for one in facts]
    if not amounts or max(amounts) - min(amounts) <= MEMORY_SHARE * max(amounts):
        return []
    return _differing("memory", facts, lambda one: f"{one['memory_gib']:.0f} GiB")


def _last_in_line(facts: Sequence[Facts]) -> list[str]:
    """Nodes whose scheduler has started the agent, and with it the ranks, as work that all others go before."""
    behind: dict[int, list[int]] = {}
    for number, one in enumerate(facts):
        if (one.get("niceness") or 0) > 0:
            behind.setdefault(one["niceness"], []).append(number)
    return [
        f"The ranks of {_nodes(numbers, facts)} run at niceness {niceness}: whatever else runs there goes first. Ray "
        "starts its workers so, unless its nodes are started with RAY_worker_niceness=0."
        for niceness, numbers in sorted(behind.items())
    ]


def _clocks(facts: Sequence[Facts]) -> list[str]:
    offsets = [(number, one.get("clock_offset_s")) for number, one in enumerate(facts)]
    far = [(number, offset_s) for number, offset_s in offsets if offset_s is not None and abs(offset_s) >= NOTABLE_S]
    return [
        f"The clock of {_nodes([number], facts)} is {abs(offset_s):.1f} s {'ahead of' if offset_s > 0 else 'behind'} "
        "the runner's: times in its own logs are off by as much. Let the nodes keep time by NTP or chrony."
        for number, offset_s in far
    ]

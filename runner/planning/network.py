"""How fast devices reach each other, and what collectives send over it."""

from __future__ import annotations

from dataclasses import dataclass

GIGABYTE = 1e9
GIGABIT = 1e9 / 8


@dataclass(kw_only=True, slots=True, frozen=True)
class JobDevices:
    """The devices of a job and what is between them; what is not known is None."""

    nodes: int
    devices_per_node: int
    peak_flops_per_second: float | None
    """Dense, of one device."""
    memory_bandwidth: float | None
    """Bytes per second of one device."""
    memory_gib: float | None
    """Of one device."""
    link: float | None
    """Bytes per second that a device sends inside its node, in one direction."""
    network: float | None
    """Bytes per second of a device's share of its node's network, in one direction."""

    @property
    def devices(self) -> int:
        """Of all nodes."""
        return self.nodes * self.devices_per_node


@dataclass(kw_only=True, slots=True, frozen=True)
class Sent:
    """Bytes that one device sends in a step."""

    link: float = 0.0
    """Inside its node."""
    network: float = 0.0
    """To other nodes."""

    def __add__(self, other: Sent) -> Sent:
        return Sent(link=self.link + other.link, network=self.network + other.network)


def collected(size: float, ranks: int, stride: int, cluster: JobDevices) -> Sent:
    """What a rank sends in an all-gather to, or a reduce-scatter of, `size` bytes: (n - 1) / n of them.

    Of ranks on several nodes, each node's together need (N - 1) / N of the whole from the others, over the networks of
    all of them: every ring that crosses nodes can do with that, and no order of ranks with less.

    Args:
        size: bytes of the whole.
        ranks: of the group.
        stride: distance between neighbours of the group in the order of ranks; the axes further inside are between.
        cluster: where they are.
    """
    if ranks == 1:
        return Sent()
    inside = max(1, min(ranks, cluster.devices_per_node // stride)) if stride < cluster.devices_per_node else 1
    groups = ranks / inside
    return Sent(
        link=size * (inside - 1) / inside if inside > 1 else 0.0,
        network=size * (groups - 1) / groups / inside if groups > 1 else 0.0,
    )


def all_reduced(size: float, ranks: int, stride: int, cluster: JobDevices) -> Sent:
    """A reduce-scatter and an all-gather: 2 (n - 1) / n of `size`, by a ring."""
    once = collected(size, ranks, stride, cluster)
    return once + once

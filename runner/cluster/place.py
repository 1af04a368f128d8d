"""Which ranks of a job are a node's, and how torchrun's agents of all nodes find each other."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

GLOO_INTERFACE = "GLOO_SOCKET_IFNAME"
"""Gloo otherwise takes the interface of what the host's name resolves to, which is often the loopback's."""


@dataclass(kw_only=True, slots=True, frozen=True)
class NodePlace:
    """A node among those of a job. Its number is torchrun's node rank, so its ranks follow from it."""

    node: int
    nodes: int
    master_address: str
    """Of node 0, as all the others reach it."""
    master_port: int

    def torchrun(self, devices: int) -> list[str]:
        """Torchrun's options: a static rendezvous, in which nodes have the ranks that the runner gave them."""
        return [
            *(f"--nnodes={self.nodes}", f"--node-rank={self.node}", f"--nproc-per-node={devices}"),
            *(f"--master-addr={self.master_address}", f"--master-port={self.master_port}"),
        ]


def interface_towards(address: str) -> dict[str, str]:
    """The environment by which gloo uses the interface that leads to an address; empty where somebody has chosen."""
    import psutil

    if GLOO_INTERFACE in os.environ:
        return {}
    try:
        with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))  # a datagram socket sends nothing by that
            own = probe.getsockname()[0]
    except OSError:
        return {}
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.address.split("%")[0] == own for one in addresses):
            return {GLOO_INTERFACE: name}
    return {}


def free_port() -> int:
    """A TCP port that nobody uses at this moment."""
    with socket.create_server(("", 0)) as one:
        return int(one.getsockname()[1])


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET

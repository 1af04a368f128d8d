"""Which Ray cluster is meant, without importing Ray."""

from __future__ import annotations

import os
import socket
from pathlib import Path

ADDRESS = "RAY_ADDRESS"
CURRENT = Path("ray/ray_current_cluster")
"""Below Ray's folder for temporary files: address of the cluster that was started on this machine last."""


def cluster_address(named: str | None = None, *, temporary: Path | None = None) -> str | None:
    """The cluster that is named, else RAY_ADDRESS's, else the one of this machine; None: there is none.

    Args:
        named: by an option; `auto` is the one of this machine.
        temporary: the folder that Ray's temporary files are in; None: as Ray chooses it.
    """
    address = named or os.environ.get(ADDRESS)
    return address if address and address != "auto" else current_address(temporary)


def current_address(temporary: Path | None = None) -> str | None:
    """The cluster that was started on this machine last, and not stopped; None: none was."""
    folder = temporary or Path(os.environ.get("RAY_TMPDIR", "/tmp"))
    try:
        return (folder / CURRENT).read_text().strip() or None
    except OSError:
        return None


def address_towards(cluster: str) -> str | None:
    """This machine's address in the network that leads to a cluster; None: no network does."""
    host = cluster.rpartition("//")[2].rpartition(":")[0].strip("[]") or cluster
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(place)  # a datagram socket sends nothing by that
            return str(probe.getsockname()[0])
    except OSError:
        return None

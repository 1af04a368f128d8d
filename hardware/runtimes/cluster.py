"""Addresses that the ranks of a job agree on, for frameworks whose own ranks find each other by a list of them."""

from __future__ import annotations

import os
import socket


def agreed_addresses(name: str, rank: int, world: int) -> list[str]:
    """`host:port` of every rank, in their order; each has found a free port of its own. Waits for all ranks.

    They meet in torchrun's store, which torch.distributed's groups are made in later.

    Args:
        name: of what listens there; keeps its ports apart from others'.
        rank: this one.
        world: all of them.
    """
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(rendezvous("env://", rank, world))
    own = PrefixStore(f"touchstone/{name}", store)
    own.set(str(rank), f"{_own_host()}:{_free_port()}")
    return [own.get(str(other)).decode() for other in range(world)]


def _own_host() -> str:
    """This machine's address on the way to the first rank's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])))  # sends nothing
        return str(probe.getsockname()[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])

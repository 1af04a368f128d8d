"""How MindSpore's ranks find each other, on Ascend and on the host: through a scheduler, a process beside the first.

MindSpore's own launcher starts it before the ranks; here torchrun has started them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress

from hardware.base import HardwareUnavailableError
from hardware.runtimes.cluster import agreed_addresses

WAIT_S = 120.0
"""The longest that a rank waits for the scheduler to listen."""
EVERY_S = 0.2

SCHEDULER = """
import ctypes, signal
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
import mindspore
mindspore.set_device("CPU")
mindspore.communication.init()
"""
"""Ends when every rank has left, or with the rank that has started it (1 is Linux's PR_SET_PDEATHSIG)."""


def meet(rank: int, world: int) -> None:
    """Make MindSpore's ranks those of the job; call after the device is set and before anything is computed.

    Raises:
        HardwareUnavailableError: the scheduler does not answer, or has numbered the ranks otherwise.
    """
    from mindspore import communication

    address = agreed_addresses("mindspore", rank, world)[0]
    host, port = address.rsplit(":", 1)
    named = {"MS_SCHED_HOST": host, "MS_SCHED_PORT": port, "MS_WORKER_NUM": str(world)}
    if rank == 0:
        subprocess.Popen(
            [sys.executable, "-P", "-c", SCHEDULER],
            env=os.environ | named | {"MS_ROLE": "MS_SCHED"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    _wait_for(host, int(port))
    os.environ.update(named | {"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank)})
    communication.init()
    found = (communication.get_rank(), communication.get_group_size())
    if found != (rank, world):
        raise HardwareUnavailableError(
            f"MindSpore has made this process rank {found[0]} of {found[1]}, the job's launcher rank {rank} of {world}."
        )


def _wait_for(host: str, port: int) -> None:
    """Until the scheduler listens: a rank that calls it earlier cannot join any more.

    Raises:
        HardwareUnavailableError: it does not.
    """
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection((host, port), timeout=1.0):
            return
        time.sleep(EVERY_S)
    raise HardwareUnavailableError(f"MindSpore's scheduler does not listen on {host}:{port} after {WAIT_S:.0f} s.")

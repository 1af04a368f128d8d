"""The one process group of a DeepSpeed run, over the vendor's communication library; DeepSpeed takes what it finds."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from torch import distributed

from runner.measure.context import Context
from runner.measure.ranks import HostRanks, Ranks

WAIT_S = 1800.0
"""The longest that ranks wait for each other: the first may write a large checkpoint meanwhile."""


def join(context: Context) -> Ranks:
    """Make the process group, of a single rank too: ZeRO's collectives want one.

    Returns:
        The ranks, which meet in the host's memory beside it.
    """
    wait, backend = timedelta(seconds=WAIT_S), context.device.communication_backend()
    if context.world == 1:
        for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "1")):
            os.environ.setdefault(name, value)  # DeepSpeed reads them
    if not distributed.is_initialized():
        store = distributed.HashStore()  # type: ignore[attr-defined]
        alone: dict[str, Any] = {"store": store, "rank": 0, "world_size": 1}
        distributed.init_process_group(backend, timeout=wait, **(alone if context.world == 1 else {}))
    if context.world == 1:
        return Ranks()
    control = distributed.new_group(backend="gloo", timeout=wait)
    return HostRanks(rank=context.rank, world=context.world, control=control)

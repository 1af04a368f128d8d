"""The two edges of a segment: the device has done its work, every rank is there, the meters are read."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from runner.measure.context import Mark
from runner.measure.ranks import Ranks


class Waited(Protocol):
    """What has work that may still run when a call returns: a device, an engine."""

    def synchronize(self) -> None:
        """Wait until all of it is done."""


@dataclass(kw_only=True, slots=True)
class Edges:
    """Opens and closes segments on one rank; every rank calls both at the same places."""

    device: Waited
    ranks: Ranks
    mark: Mark
    clock: Callable[[], float] = time.monotonic
    """Seconds; another one in tests."""

    def open(self, name: str | None = None) -> float:
        """Wait for the device, read the meters as `name`, wait for the ranks.

        Returns:
            When the segment began, in seconds of the clock.
        """
        self.device.synchronize()
        if name is not None:
            self.mark(name)
        self.ranks.barrier()
        return self.clock()

    def close(self, name: str | None = None) -> float:
        """Wait for the device, take the time, then wait for the ranks and read the meters as `name`.

        Returns:
            When this rank's segment ended, in seconds of the clock; over several ranks the slowest one's counts.
        """
        self.device.synchronize()
        end_s = self.clock()
        self.ranks.barrier()
        if name is not None:
            self.mark(name)
        return end_s


def leave_out_of_collections() -> None:
    """Have Python's collector look at younger objects only from here on: those that training or serving makes.

    Frameworks leave millions of objects behind when they are set up. A collection that looks at all of them holds the
    process up for hundreds of milliseconds, in some steps of a window and not in others, while the device waits.
    """
    gc.collect()
    gc.freeze()

"""The ranks of one measurement: they agree on what they do next, and time by the slowest of them."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")
WAIT_S = 300.0
"""The longest that ranks wait for each other; then the measurement has failed."""


class UnmeasurableError(RuntimeError):
    """A figure that cannot be measured here; the message is the reason in its place."""


@dataclass(kw_only=True, slots=True)
class Ranks:
    """This process among those of the measurement. The only one; those of several say how they meet."""

    rank: int = 0
    world: int = 1
    shared: int = 1
    """So many ranks, one after the other, work on one batch together (tensor and pipeline parallel)."""

    def barrier(self) -> None:
        """Wait for every rank."""

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in the order of ranks, on every rank; waits for all of them."""
        return [value]

    def sum(self, value: float) -> float:
        """The sum of the ranks' values; equal on every rank."""
        return float(sum(self.gather(value)))

    def greatest(self, value: float) -> float:
        """The greatest of the ranks' values; equal on every rank, so that decisions by it are too."""
        return float(max(self.gather(value)))

    def attempt(self, action: Callable[[], T]) -> T:
        """Do something that may not be possible here; when one rank cannot do it, none goes on.

        Raises:
            UnmeasurableError: with the first rank's problem that has one.
        """
        result: T | None = None
        problem: str | None = None
        try:
            result = action()
        except Exception as error:  # noqa: BLE001 -- drivers and libraries raise what they like; it becomes the reason
            traceback.print_exc()
            problem = first_line(error)
        told = next((one for one in self.gather(problem) if one is not None), None)
        if told is not None:
            raise UnmeasurableError(told)
        return result  # type: ignore[return-value]

    def close(self) -> None:
        """Leave the process groups."""


@dataclass(kw_only=True, slots=True)
class HostRanks(Ranks):
    """Ranks that meet in the host's memory, beside the vendor's own communication library."""

    control: Any
    """Process group over the host's memory."""

    def barrier(self) -> None:
        """Wait for every rank."""
        from torch import distributed

        distributed.barrier(group=self.control)

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in the order of ranks, on every rank; waits for all of them."""
        from torch import distributed

        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value, group=self.control)
        return values

    def close(self) -> None:
        """Leave the process groups."""
        from torch import distributed

        distributed.destroy_process_group()


def join(backend: str) -> Ranks:
    """The ranks that torchrun started, or one that nobody did.

    Args:
        backend: torch.distributed's name of the vendor's communication library.
    """
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks()
    from torch import distributed

    wait = timedelta(seconds=WAIT_S)
    if not distributed.is_initialized():  # one process can train several cases, one after the other
        distributed.init_process_group(backend, timeout=wait)
    return HostRanks(rank=rank, world=world, control=distributed.new_group(backend="gloo", timeout=wait))


def first_line(error: BaseException) -> str:
    """An error in one line."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__

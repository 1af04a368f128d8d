"""How requests arrive at a system: one class per `load=`, found by its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from hardware.registry import Registry
from runner.core.load import Load
from runner.serving.load.requests import Request
from runner.serving.load.system import System


class Arrival(ABC):
    """Sends requests to a system, as its load says, and returns them when all are answered."""

    def __init__(self, load: Load, system: System, *, seed: int, folder: Path) -> None:
        """Prepare; nothing is sent yet.

        Args:
            load: the case's.
            system: what answers.
            seed: of whatever is drawn.
            folder: the run's, for files of the load's own.
        """
        self.load, self.system, self.seed, self.folder = load, system, seed, folder

    @abstractmethod
    def send(self, count: int, first: int) -> list[Request]:
        """Send so many requests, the first of them of number `first`, and wait for every answer."""

    def measure(self, count: int, first: int) -> list[Request]:
        """As `send`, in the window."""
        return self.send(count, first)

    def block_of(self, count: int) -> int:
        """Requests of a block of warm-up for which the measure asks for so many."""
        return count

    def request_s(self, mean_s: float) -> float:
        """Expected seconds between two answers, from their mean in the last block of warm-up."""
        return mean_s

    def pace_s(self, seconds: float, requests: Sequence[Request]) -> float:
        """Seconds per request by which steadiness is judged, of a block of warm-up."""
        return seconds / len(requests)

    def own_s(self, seconds: float, requests: Sequence[Request]) -> float | None:
        """Seconds of a stretch that the harness took for itself; None where that cannot be told apart.

        Of loads that send one request after the other: what lies between them.
        """
        return max(0.0, seconds - sum(one.ended_s - one.begun_s for one in requests))


ARRIVALS = Registry(
    kind="load",
    group="touchstone.loads",
    base="runner.serving.load.arrival:Arrival",
    built_in={
        "offline": "runner.serving.load.offline:Offline",
        "single_stream": "runner.serving.load.single_stream:SingleStream",
        "clients": "runner.serving.load.clients:Clients",
        "server": "runner.serving.load.server:Server",
        "mlperf": "runner.serving.load.mlperf:Mlperf",
    },
)
"""A further `load=` is one YAML, one class and one line here."""

"""`load=server`: requests arrive by themselves, as a Poisson process, whether or not the ones before are answered."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence

import numpy as np

from runner.serving.load.arrival import Arrival
from runner.serving.load.requests import Request

LEAD_S = 0.01
"""Between drawing the arrivals and the first of them."""
SPIN_S = 0.0005
"""Before a request is due the clock is watched, since a sleep ends late by about as much."""


class Server(Arrival):
    """An open loop: one thread lets requests arrive when they are due, another answers them in their order.

    Latency counts from the moment a request was due, not from when a busy system took it: a queue that grows shows.
    The arrivals are drawn before the clock starts, from the case's seed; each stretch has others.
    """

    def send(self, count: int, first: int) -> list[Request]:
        """Let so many arrive, and answer all of them.

        Raises:
            Exception: what answering met.
        """
        assert self.load.rate is not None, "the case was checked for its rate"
        gaps = np.random.default_rng([self.seed, first]).exponential(1 / self.load.rate, size=count)
        offsets = np.cumsum(gaps).tolist()
        arrived: queue.SimpleQueue[tuple[int, float] | None] = queue.SimpleQueue()
        answered: list[Request] = []
        problem: list[BaseException] = []
        worker = threading.Thread(target=self._answer, args=(arrived, answered, problem), name="server")
        worker.start()
        begin_s = time.monotonic() + LEAD_S
        for number, offset_s in enumerate(offsets, first):
            if problem:
                break
            _wait_until(begin_s + offset_s)
            arrived.put((number, begin_s + offset_s))
        arrived.put(None)
        worker.join()
        if problem:
            raise problem[0]
        return answered

    def _answer(
        self,
        arrived: queue.SimpleQueue[tuple[int, float] | None],
        answered: list[Request],
        problem: list[BaseException],
    ) -> None:
        try:
            while (one := arrived.get()) is not None:
                answered.append(self.system.answer(*one))
        except BaseException as error:  # noqa: BLE001 -- it is raised again where the requests were sent
            problem.append(error)

    def request_s(self, mean_s: float) -> float:
        """As the rate says, or as fast as the system answers where that is slower."""
        assert self.load.rate is not None
        return max(1 / self.load.rate, mean_s)

    def pace_s(self, seconds: float, requests: Sequence[Request]) -> float:
        """How long an answer takes: when requests come is chance, and says nothing about the system."""
        return sum(one.ended_s - one.begun_s for one in requests) / len(requests)

    def own_s(self, seconds: float, requests: Sequence[Request]) -> float | None:
        """Not known: the system waits for requests, too."""
        return None


def _wait_until(moment_s: float) -> None:
    left_s = moment_s - time.monotonic()
    if left_s > SPIN_S:
        time.sleep(left_s - SPIN_S)
    while time.monotonic() < moment_s:
        pass

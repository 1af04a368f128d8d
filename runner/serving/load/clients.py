"""`load=clients`: a closed loop of so many clients, each of which asks again when it has its answer."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from runner.serving.load.arrival import Arrival
from runner.serving.load.requests import Request

TURNS = 4
"""Of each client in a block of warm-up, at least."""


class Clients(Arrival):
    """A thread for each client; engines release the interpreter's lock while they compute.

    All requests come out of one counter, so that every client is busy until the last ones: of `count` requests only
    the last `clients - 1` run beside fewer than the others did.
    """

    def send(self, count: int, first: int) -> list[Request]:
        """Send so many in all, by all clients together.

        Raises:
            Exception: what the first client met that met something; the others stop asking.
        """
        numbers, lock = itertools.count(first), threading.Lock()
        failed = threading.Event()

        def ask() -> list[Request]:
            answered: list[Request] = []
            while not failed.is_set():
                with lock:
                    number = next(numbers)
                if number >= first + count:
                    return answered
                try:
                    answered.append(self.system.answer(number))
                except BaseException:
                    failed.set()
                    raise
            return answered

        with ThreadPoolExecutor(self.load.clients, thread_name_prefix="client") as pool:
            clients = [pool.submit(ask) for _ in range(self.load.clients)]
            answers = [client.result() for client in clients]
        return sorted((one for own in answers for one in own), key=lambda request: request.number)

    def block_of(self, count: int) -> int:
        """Enough for every client to ask several times: of fewer most would meet nobody else."""
        return max(count, TURNS * self.load.clients)

    def own_s(self, seconds: float, requests: Sequence[Request]) -> float | None:
        """Not known: requests overlap."""
        return None

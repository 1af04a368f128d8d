"""`load=single_stream`: one request after the other, each sent when the one before is answered."""

from __future__ import annotations

from runner.serving.load.arrival import Arrival
from runner.serving.load.requests import Request


class SingleStream(Arrival):
    """A closed loop of one client: its latency is the time of an answer, without any waiting."""

    def send(self, count: int, first: int) -> list[Request]:
        """Ask, wait for the answer, ask again."""
        requests: list[Request] = []
        for number in range(first, first + count):
            requests.append(self.system.answer(number))
            self.system.synchronize()
        return requests

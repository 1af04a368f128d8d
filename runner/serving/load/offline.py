"""`load=offline`: everything is there at once, and batch follows batch."""

from __future__ import annotations

from runner.serving.load.arrival import Arrival
from runner.serving.load.requests import Request


class Offline(Arrival):
    """One batch after the other, without a pause."""

    def send(self, count: int, first: int) -> list[Request]:
        """Each is asked for as soon as the one before is answered."""
        answer = self.system.answer
        return [answer(number) for number in range(first, first + count)]

"""A node as the head sees it: its agent's connection, what it told of itself, and whether it still lives."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from runner.cluster.clock import ClockOffset, clock_offset
from runner.cluster.wire import LostError, Message, Wire

ALIVE_S = 5.0
"""At the latest after so long each side says that it is there."""
ANSWER_S = 10.0
"""How long an agent may take to tell its time."""


@dataclass(kw_only=True, slots=True)
class Member:
    """One node of the case."""

    number: int
    line: Wire
    facts: dict[str, Any]
    """What the agent told of its machine (`runner.cluster.facts`)."""
    clock: ClockOffset = field(default_factory=lambda: ClockOffset(offset_s=0.0, uncertainty_s=0.0))
    heard_s: float = field(default_factory=time.monotonic)
    told_s: float = field(default_factory=time.monotonic)
    ended: Message | None = None
    """How its share of the run that goes on ended; None while it runs."""

    @property
    def name(self) -> str:
        """For people: `node 1 (gpu-07)`."""
        return f"node {self.number} ({self.facts.get('host', '?')})"

    def receive(self, timeout_s: float = 0.0) -> Message | None:
        """What it has sent, the mere sign of life left out.

        Raises:
            LostError: it is gone.
        """
        message = self.line.receive(timeout_s)
        if message is None:
            return None
        self.heard_s = time.monotonic()
        return None if message.kind == "alive" else message

    def stay_in_touch(self) -> None:
        """Say that the head is there, now and then.

        Raises:
            LostError: the agent is gone.
        """
        if time.monotonic() - self.told_s >= ALIVE_S:
            self.told_s = time.monotonic()
            self.line.send("alive")

    def compare_clocks(self) -> None:
        """Find out how far its clock is from this machine's.

        Raises:
            LostError: it is gone, or does not answer.
        """
        self.clock = clock_offset(self._time)

    def _time(self) -> float:
        self.line.send("time")
        while (message := self.receive(ANSWER_S)) is None or message.kind != "time":
            if time.monotonic() - self.heard_s > ANSWER_S:
                raise LostError(f"no answer within {ANSWER_S:g} s")
        return float(message.content["unix_s"])

"""One forward, one backward (1F1B, Narayanan et al. 2019): the order of a pipeline's passes. Knows no framework.

Sends may wait for their receiver, as gloo's do. So where two neighbours both send, stages of even number send first
and those of odd number receive first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

Forward = Callable[[Any, Any], Any]
"""What enters a stage, or None, and the batch, to what leaves it."""
Backward = Callable[[Any, Any, Any], Any]
"""What entered, what left and its gradient, or None, to the gradient of what entered."""


class Neighbours(ABC):
    """The stages before and behind one."""

    def __init__(self, stage: int) -> None:
        self.stage = stage

    @abstractmethod
    def receive(self, batch: Any) -> Any:
        """What the stage before computed of a batch; None at the first."""

    @abstractmethod
    def send(self, left: Any) -> None:
        """To the stage behind, if there is one."""

    @abstractmethod
    def receive_gradient(self, left: Any) -> Any:
        """Of what left for the stage behind; None at the last."""

    @abstractmethod
    def send_gradient(self, gradient: Any) -> None:
        """Of what entered, to the stage before, if there is one."""

    def send_and_receive_gradient(self, left: Any, oldest: Any) -> Any:
        """Send to the stage behind, and receive from it the gradient of what left earlier."""
        if self.stage % 2 == 0:
            self.send(left)
            return self.receive_gradient(oldest)
        gradient = self.receive_gradient(oldest)
        self.send(left)
        return gradient

    def send_gradient_and_receive(self, gradient: Any, batch: Any) -> Any:
        """Send to the stage before, and receive what it computed of the next batch."""
        if self.stage % 2 == 0:
            self.send_gradient(gradient)
            return self.receive(batch)
        entered = self.receive(batch)
        self.send_gradient(gradient)
        return entered


def run_passes(
    neighbours: Neighbours,
    batches: Sequence[Any],
    *,
    ahead: int,
    forward: Forward,
    backward: Backward,
) -> None:
    """Take all passes of one optimizer step through one stage.

    Args:
        neighbours: of the stage.
        batches: of the step, one for each pass; the same on every stage.
        ahead: forward passes that a stage takes before its first backward pass: the stages behind it.
        forward: as the stage computes it.
        backward: as the stage computes it.
    """
    warmup = min(ahead, len(batches))
    waiting: deque[tuple[Any, Any]] = deque()
    for batch in batches[:warmup]:
        entered = neighbours.receive(batch)
        left = forward(entered, batch)
        neighbours.send(left)
        waiting.append((entered, left))
    steady = batches[warmup:]
    entered = neighbours.receive(steady[0]) if steady else None
    for number, batch in enumerate(steady):
        left = forward(entered, batch)
        waiting.append((entered, left))
        oldest_entered, oldest = waiting.popleft()
        gradient = neighbours.send_and_receive_gradient(left, oldest)
        found = backward(oldest_entered, oldest, gradient)
        if number + 1 < len(steady):
            entered = neighbours.send_gradient_and_receive(found, steady[number + 1])
        else:
            neighbours.send_gradient(found)
    while waiting:
        oldest_entered, oldest = waiting.popleft()
        neighbours.send_gradient(backward(oldest_entered, oldest, neighbours.receive_gradient(oldest)))

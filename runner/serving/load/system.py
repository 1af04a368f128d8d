"""The system under test: an engine's network and the inputs it is asked with, behind one call."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from hardware.engines.compiled import Compiled
from hardware.engines.graph import Tensors
from runner.serving.load.requests import Request


class System(ABC):
    """Answers requests, each a whole one from host to host; several threads may ask at once."""

    samples: int
    """Of one request."""
    input_tokens: Sequence[int] | None = None
    """Of each of the requests' inputs, which are taken in turn, without padding; None: the inputs are not tokens."""

    @abstractmethod
    def answer(self, number: int, arrived_s: float | None = None) -> Request:
        """Answer one request and note when it began and ended.

        Args:
            number: which; inputs are taken in turn.
            arrived_s: when it was due, in monotonic seconds; None: now.
        """

    def tokens_of(self, number: int) -> int | None:
        """Input tokens of a request."""
        return None if self.input_tokens is None else self.input_tokens[number % len(self.input_tokens)]

    def synchronize(self) -> None:  # noqa: B027 -- most answer in full
        """Wait until everything that was submitted is done."""


class ForwardSystem(System):
    """One forward pass answers a request."""

    def __init__(
        self,
        compiled: Compiled,
        inputs: Sequence[Tensors],
        samples: int,
        input_tokens: Sequence[int] | None = None,
    ) -> None:
        self._compiled, self._inputs, self.samples = compiled, inputs, samples
        self.input_tokens = input_tokens

    def answer(self, number: int, arrived_s: float | None = None) -> Request:
        """Copy in, run, copy out."""
        begun_s = time.monotonic()
        self._compiled.complete(self._inputs[number % len(self._inputs)])
        ended_s = time.monotonic()
        return Request(
            number=number,
            arrived_s=begun_s if arrived_s is None else arrived_s,
            begun_s=begun_s,
            ended_s=ended_s,
            samples=self.samples,
            input_tokens=self.tokens_of(number),
        )

    def synchronize(self) -> None:
        """Wait for the engine."""
        self._compiled.synchronize()


class PlacedSystem(System):
    """The same without copies: inputs are where the engine takes them, outputs stay where it leaves them.

    What was submitted last may still run when a call returns; the edges of a window wait for it.
    """

    def __init__(self, compiled: Compiled, inputs: Sequence[Tensors], samples: int) -> None:
        self._compiled, self.samples = compiled, samples
        self._placed: list[Any] = [compiled.place(one) for one in inputs]
        compiled.synchronize()

    def answer(self, number: int, arrived_s: float | None = None) -> Request:
        """Run alone."""
        begun_s = time.monotonic()
        self._compiled.run(self._placed[number % len(self._placed)])
        ended_s = time.monotonic()
        due_s = begun_s if arrived_s is None else arrived_s
        return Request(number=number, arrived_s=due_s, begun_s=begun_s, ended_s=ended_s, samples=self.samples)

    def synchronize(self) -> None:
        """Wait for the engine."""
        self._compiled.synchronize()

"""Systems that write: whole answers token by token, and each of their two parts by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from hardware.engines.generation import CompiledGeneration, SteppedGeneration
from runner.serving.load.requests import Request
from runner.serving.load.system import System

Clock = Callable[[], float]


class GenerationSystem(System):
    """A request is a batch of prompts of one length; its answer ends when every row's has.

    Requests are answered one after another: the key-value cache is one request's. Whoever asks meanwhile waits, and
    the wait counts from arrival.
    """

    def __init__(
        self,
        written: CompiledGeneration,
        prompts: Sequence[Tensor],
        *,
        new_tokens: int,
        end_of_text: int | None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Take what answers and what is asked.

        Args:
            written: the engine's.
            prompts: int64 (rows, prompt tokens) each, on the host; taken in turn.
            new_tokens: most tokens of a row's answer.
            end_of_text: id of the token that ends an answer; None: answers are all of `new_tokens`.
            clock: monotonic seconds; another one in tests.
        """
        self._written, self._prompts, self._clock = written, prompts, clock
        self._new_tokens, self._end_of_text = new_tokens, end_of_text
        self.samples = len(prompts[0])
        self.input_tokens = [one.numel() for one in prompts]
        self._turn = threading.Lock()

    def answer(self, number: int, arrived_s: float | None = None) -> Request:
        """Have it write, and note when each token of it was on the host."""
        due_s = self._clock() if arrived_s is None else arrived_s
        with self._turn:
            begun_s = self._clock()
            moments_s, tokens = self._write(self._prompts[number % len(self._prompts)])
        return Request(
            number=number,
            arrived_s=due_s,
            begun_s=begun_s,
            first_token_s=moments_s[0],
            ended_s=moments_s[-1],
            moments_s=tuple(moments_s),
            samples=self.samples,
            input_tokens=self.tokens_of(number),
            tokens=tokens,
            steps=len(moments_s),
        )

    def _write(self, prompts: Tensor) -> tuple[list[float], int]:
        """Moments of the steps, and the tokens that count: those of rows that had not ended before."""
        moments_s: list[float] = []
        tokens = 0
        open_rows = torch.ones(self.samples, dtype=torch.bool)
        for ids in self._written.stream(prompts, self._new_tokens):
            moments_s.append(self._clock())
            tokens += int(open_rows.sum())
            if self._end_of_text is not None:
                open_rows &= ids != self._end_of_text
                if not open_rows.any():
                    break
        return moments_s, tokens

    def synchronize(self) -> None:
        """Wait for the engine."""
        self._written.synchronize()


class PartSystem(System):
    """One part of the work, whose inputs are on the device and whose outputs stay there.

    What was submitted last may still run when a call returns; the edges of a window wait for it.
    """

    def __init__(self, written: SteppedGeneration, samples: int) -> None:
        self._written, self.samples = written, samples

    def _part(self, number: int) -> None:
        raise NotImplementedError

    def answer(self, number: int, arrived_s: float | None = None) -> Request:
        """Submit the part."""
        begun_s = time.monotonic()
        self._part(number)
        due_s = begun_s if arrived_s is None else arrived_s
        return Request(number=number, arrived_s=due_s, begun_s=begun_s, ended_s=time.monotonic(), samples=self.samples)

    def synchronize(self) -> None:
        """Wait for the engine."""
        self._written.synchronize()


class PrefillSystem(PartSystem):
    """Prefill alone: a request reads its prompts."""

    def __init__(self, written: SteppedGeneration, prompts: Sequence[Tensor]) -> None:
        super().__init__(written, len(prompts[0]))
        self._placed: list[Any] = [written.place(one) for one in prompts]

    def _part(self, number: int) -> None:
        self._written.prefill(self._placed[number % len(self._placed)])


class DecodeSystem(PartSystem):
    """Decoding alone: a request writes the same answer's tokens behind the first once more."""

    def __init__(self, written: SteppedGeneration, prompts: Tensor, steps: int) -> None:
        super().__init__(written, len(prompts))
        first = written.fetch(written.prefill(written.place(prompts)).tokens)
        self._first, self._steps = written.place(first), steps

    def _part(self, number: int) -> None:
        self._written.rewind()
        tokens = self._first
        for _ in range(self._steps):
            tokens = self._written.step(tokens).tokens

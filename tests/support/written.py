"""Doubles of what writes: a clock that is told the time, an engine whose tokens and their moments are given."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hardware.engines.generation import CompiledGeneration


class ToldClock:
    """Says what it was last told."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Scripted(CompiledGeneration):
    """Gives one line of ids after another, each after so many seconds; notes how many were asked for."""

    def __init__(self, clock: ToldClock, lines: list[list[int]], seconds: list[float]) -> None:
        self.clock, self.lines, self.seconds, self.given = clock, lines, seconds, 0

    def stream(self, prompts: Tensor, new_tokens: int) -> Iterator[Tensor]:
        for line, seconds in zip(self.lines[:new_tokens], self.seconds, strict=False):
            self.clock.now_s += seconds
            self.given += 1
            yield torch.tensor(line)

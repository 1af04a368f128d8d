"""What a worker does while people watch, and in which words a task says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Stage(StrEnum):
    """What the worker does, in words for people."""

    STARTING = "starting worker"
    PREPARING = "preparing"
    WARMING_UP = "warming up"
    MEASURING = "measuring"
    TRAINING = "training"
    EVALUATING = "evaluating"
    COUNTING = "counting FLOPs"
    ENDING = "ending worker"


@dataclass(kw_only=True, slots=True, frozen=True)
class Stages:
    """The stages that the console shows of a task."""

    first: Stage = Stage.PREPARING
    """Once the device is connected."""
    working: Stage = Stage.MEASURING
    """From the end of warm-up on."""
    follows: Literal["window", "budget"] = "window"
    """What is done of what: of one window, or of the recipe's budget, with evaluations in between."""
    words: Mapping[Stage, str] = field(default_factory=dict)
    """Where the task says a stage in words of its own."""

    def say(self, stage: Stage) -> str:
        """A stage in words."""
        return self.words.get(stage, stage.value)

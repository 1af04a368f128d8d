"""A rule of publication, what it found of a report, and how that is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from runner.record.report import Report

Outcome = Literal["ok", "failed", "unknown", "not applicable"]
KEPT = ("ok", "not applicable")


@dataclass(slots=True, frozen=True)
class Finding:
    """What became of one rule, and what was found, in a phrase."""

    outcome: Outcome
    text: str


@dataclass(slots=True, frozen=True)
class Rule:
    """One thing that is asked of a run that shall be published."""

    name: str
    asks: str
    judge: Callable[[Report], Finding]
    always: bool = False
    """Whether it applies to every task, whatever the task says."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Judgement:
    """A rule's finding as `report.json` keeps it."""

    rule: str
    asks: str
    outcome: Outcome
    text: str

    @property
    def kept(self) -> bool:
        """Whether the rule stands in nobody's way."""
        return self.outcome in KEPT

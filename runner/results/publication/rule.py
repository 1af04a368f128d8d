"""A rule of publication, what it found of a report, and how that is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from runner.record.report import Report

Outcome = Literal["ok", "failed", "unknown", "not applicable"]
KEPT = ("ok", "not applicable")
UNEVEN = 1.25
"""Time per step of the slowest part over the fastest one's, from which a reader must know."""


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


def publication_of(report: Report) -> Any:
    """What a report notes for the rules.

    Raises:
        ValueError: nothing, for it is of an earlier version.
    """
    if report.publication is None:
        raise ValueError("it was made by an earlier version")
    return report.publication


def asked_by(report: Report, name: str) -> Any:
    """What the run of a report was asked for."""
    return publication_of(report).asked[name]


def parts_of(report: Report) -> list[dict[str, Any]]:
    """What was noted of each fresh process.

    Raises:
        ValueError: there was none.
    """
    parts: list[dict[str, Any]] = publication_of(report).parts
    if not parts:
        raise ValueError("nothing was measured")
    return parts

"""What a gate found of one figure of one case."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from runner.comparison.gate.decision import Decision, Outcome


@dataclass(kw_only=True, slots=True)
class GateFinding:
    """One figure."""

    figure: str
    """Its name; of a whole case, `run`."""
    title: str
    outcome: Outcome
    text: str
    """Why, in sentences."""
    values: str = ""
    """`500.0 → 474.9 images/s, 5.0 % worse`; empty where there are none."""
    decision: Decision | None = None
    """The test that decided; null where none did."""

    @property
    def sentence(self) -> str:
        """All of it."""
        return f"{self.values}. {self.text}".strip() if self.values else self.text

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        decided = self.decision
        numbers = {} if decided is None else {name: getattr(decided, name) for name in _NUMBERS}
        said = {"figure": self.figure, "outcome": self.outcome, "values": self.values, "text": self.text}
        return said | numbers


_NUMBERS = ("ratio", "noise", "freedom", "smallest_loss", "mostly_seen")


@dataclass(kw_only=True, slots=True)
class GateCase:
    """All figures of one case."""

    title: str
    new: list[str]
    """The folders of its new runs."""
    baseline: list[str]
    findings: list[GateFinding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class GateResult:
    """All cases of a baseline."""

    baseline: str
    cases: list[GateCase]
    further: list[str] = field(default_factory=list)
    """New cases that the baseline does not have."""

    def count(self, outcome: Outcome) -> int:
        """How many findings have an outcome."""
        return sum(one.outcome == outcome for case in self.cases for one in case.findings)

    @property
    def outcome(self) -> Outcome:
        """The worst of all."""
        return "fail" if self.count("fail") else "undecided" if self.count("undecided") else "pass"

    def to_dict(self, *, strict: bool) -> dict[str, Any]:
        """As JSON."""
        cases = [
            {
                "case": case.title,
                "new": case.new,
                "baseline": case.baseline,
                "warnings": case.warnings,
                "findings": [one.to_dict() for one in case.findings],
            }
            for case in self.cases
        ]
        code = self.exit_code(strict=strict)
        return {
            "outcome": self.outcome,
            "exit_code": code,
            "baseline": self.baseline,
            "cases": cases,
            "further": self.further,
        }

    def exit_code(self, *, strict: bool) -> int:
        """1 where something fails; where strict, also where something could not be told."""
        return int(self.outcome == "fail" or (strict and self.outcome == "undecided"))

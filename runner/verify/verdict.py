"""What was looked at in one result folder, and what follows from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

About = Literal["integrity", "publication"]
Outcome = Literal["ok", "failed", "not applicable"]

PUBLISHABLE, NOT_PUBLISHABLE, BROKEN = 0, 1, 2
"""Exit codes: intact and publishable; intact; broken, tampered with or unreadable."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    about: About
    """Whether a failure means that the result is not what was measured, or that it should not be published."""
    outcome: Outcome
    text: str
    """What was found, in a phrase."""


@dataclass(kw_only=True, slots=True)
class Verdict:
    """Everything that was looked at in a folder."""

    folder: Path
    checks: list[Check] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """Whether the report is a report, and belongs to the files it lies beside."""
        return not any(check.outcome == "failed" and check.about == "integrity" for check in self.checks)

    @property
    def publishable(self) -> bool:
        """Whether nothing failed at all."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """What failed."""
        return [f"{check.name}: {check.text}" for check in self.checks if check.outcome == "failed"]

    @property
    def exit_code(self) -> int:
        """0, 1 or 2."""
        if not self.intact:
            return BROKEN
        return PUBLISHABLE if self.publishable else NOT_PUBLISHABLE

    @property
    def words(self) -> str:
        """The verdict in a word or two."""
        return {PUBLISHABLE: "publishable", NOT_PUBLISHABLE: "not publishable", BROKEN: "broken"}[self.exit_code]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "folder": str(self.folder),
            "exit_code": self.exit_code,
            "intact": self.intact,
            "publishable": self.publishable,
            "reasons": self.reasons,
            "checks": [asdict(check) for check in self.checks],
        }


def passed(name: str, about: About, text: str) -> Check:
    """A check that found what should be."""
    return Check(name=name, about=about, outcome="ok", text=text)


def failed(name: str, about: About, text: str) -> Check:
    """A check that did not."""
    return Check(name=name, about=about, outcome="failed", text=text)


def not_applicable(name: str, about: About, text: str) -> Check:
    """Nothing to check here; the text says why."""
    return Check(name=name, about=about, outcome="not applicable", text=text)

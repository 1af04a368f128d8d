"""The events of a run folder as one story: what the ranks and the runner told, in order."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.config.schema import Case, load_case
from runner.core.events import Event, Name, read_events

PARENT_LOG = "parent.log"
"""Under `events/`: what the runner itself told."""


@dataclass(kw_only=True, slots=True)
class Story:
    """Everything a report is built from."""

    folder: Path
    case: Case
    ranks: list[list[Event]]
    """Events per rank; the first rank's come first. Empty when no worker ever started."""
    parent: list[Event]

    @property
    def events(self) -> list[Event]:
        """Events of the first rank."""
        return self.ranks[0] if self.ranks else []

    def all(self, name: Name) -> list[Event]:
        """Every event of a name told by the first rank."""
        return [event for event in self.events if event.name == name]

    def last(self, name: Name) -> dict[str, Any] | None:
        """Payload of the last event of a name told by the first rank; null when there is none."""
        found = self.all(name)
        return found[-1].value if found else None

    def warm_up(self) -> dict[str, Any] | None:
        """How warm-up ended; of a resumed run, the first part that was not steady: the window holds all parts."""
        ends = [event.value for event in self.all(Name.WARMUP_END)]
        return next((end for end in ends if not end["steady"]), ends[-1] if ends else None)

    def steps(self, phase: str, *, skipped: bool = False) -> list[dict[str, str]]:
        """Rows of `steps.csv` of the first rank and one phase.

        Args:
            phase: `warmup` or `window`.
            skipped: whether to give those that the gradient scaler skipped, of 0 samples, too.
        """
        path = self.folder / "steps.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["loss"] is not None]
        return [
            row for row in rows if row["rank"] == "0" and row["phase"] == phase and (skipped or row["samples"] != "0")
        ]


@dataclass(kw_only=True, slots=True, frozen=True)
class Span:
    """A measured stretch of monotonic time and the samples trained in it."""

    start_s: float
    end_s: float
    samples: int


def spans_of(story: Story) -> list[Span]:
    """The measured stretches of a run, in order."""
    ends = (event.value for event in story.all(Name.SEGMENT_END))
    return [Span(start_s=end["begin_s"], end_s=end["end_s"], samples=end["samples"]) for end in ends]


def read_story(folder: Path) -> Story:
    """Read a run folder, whatever state it was left in."""
    files = (folder / "events").glob("rank*.log")
    in_order = sorted(files, key=lambda path: int(path.stem.removeprefix("rank")))
    return Story(
        folder=folder,
        case=load_case(folder),
        ranks=[read_events(path)[0] for path in in_order],
        parent=read_events(folder / "events" / PARENT_LOG)[0],
    )

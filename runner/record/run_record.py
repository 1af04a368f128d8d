"""The events of a run folder as one record: what the ranks and the runner told, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hardware.sampling.trace_file import CLOCK_SLACK_S
from runner.config.schema import Case, load_case
from runner.core.events import Event, Name, read_events
from runner.record.step_rows import read_rows

PARENT_LOG = "parent.log"
"""Under `events/`: what the runner itself told."""
NODES_FILE = "nodes.json"
"""In the folder of a job of several nodes: what each of them is, as its agent told (`runner.cluster.facts`)."""
NODES, TRACE = "nodes", "power.csv"
"""Folder of what further nodes left, each under its number; what the meters of a node read."""
_UNDONE = (
    *(Name.WARMUP_END, Name.SEGMENT_BEGIN, Name.SEGMENT_END, Name.EVALUATE, Name.CHECKPOINT),
    *(Name.TRAIN_END, Name.MEMORY),
)
"""What a part told of training that a later part began before, and so did again."""


@dataclass(kw_only=True, slots=True)
class RunRecord:
    """Everything a report is built from."""

    folder: Path
    case: Case
    ranks: list[list[Event]]
    """Events per rank; the first rank's come first. Empty when no worker ever started. Training that a later part did
    again, from a checkpoint or from the start, is not among them."""
    parent: list[Event]
    node: int = 0
    """Whose ranks these are, where only one node's are here."""

    @property
    def trace(self) -> Path:
        """The power trace of the node; the first one's lies in the run folder, where the runner's machine is it."""
        own = self.folder / NODES / str(self.node) / TRACE
        return own if self.node or own.exists() else self.folder / TRACE

    def by_node(self) -> list[RunRecord]:
        """A record for each node, of its ranks alone: each machine has a clock and meters of its own."""
        topology = self.case.topology
        devices = topology.devices
        if topology.nodes == 1 or not isinstance(devices, int):
            return [self]
        shares = (self.ranks[node * devices : (node + 1) * devices] for node in range(topology.nodes))
        return [replace(self, ranks=ranks, node=node) for node, ranks in enumerate(shares)]

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
        rows = read_rows(self.folder / "steps.csv")
        return [
            row for row in rows if row["rank"] == "0" and row["phase"] == phase and (skipped or row["samples"] != "0")
        ]


@dataclass(kw_only=True, slots=True, frozen=True)
class Span:
    """A measured segment of monotonic time and the samples trained in it."""

    start_s: float
    end_s: float
    samples: int


def spans_of(run_record: RunRecord) -> list[Span]:
    """The measured segments of a run, in order, on the clock of the machine's last start.

    A run that is resumed after a reboot has two monotonic clocks, and its trace is of the second. A segment before it
    lies before that clock's beginning, where nothing was read, and not where the same number stands by chance.
    """
    spans = []
    for event, shift_s in zip(run_record.events, _shifts_s(run_record.events), strict=True):
        if event.name == Name.SEGMENT_END:
            told = event.value
            begin_s, end_s = told["begin_s"] + shift_s, told["end_s"] + shift_s
            spans.append(Span(start_s=begin_s, end_s=end_s, samples=told["samples"]))
    return spans


def _shifts_s(events: Sequence[Event]) -> list[float]:
    """For each event what its monotonic time must be moved by to stand on the last event's clock."""
    if not events:
        return []
    shifts, shift_s, after = [0.0], 0.0, events[-1]
    for event in reversed(events[:-1]):
        moved_s = (after.time_ms - event.time_ms) / 1e3 - (after.monotonic_s - event.monotonic_s)
        if after.monotonic_s < event.monotonic_s and moved_s > CLOCK_SLACK_S:
            shift_s -= moved_s
        shifts.append(shift_s)
        after = event
    return shifts[::-1]


def read_record(folder: Path) -> RunRecord:
    """Read a run folder, whatever state it was left in."""
    files = (folder / "events").glob("rank*.log")
    in_order = sorted(files, key=lambda path: int(path.stem.removeprefix("rank")))
    return RunRecord(
        folder=folder,
        case=load_case(folder),
        ranks=[_standing(read_events(path)[0]) for path in in_order],
        parent=read_events(folder / "events" / PARENT_LOG)[0],
    )


def _standing(events: Sequence[Event]) -> list[Event]:
    """The events without those of training that was undone: a part goes on from a checkpoint, or from the start.

    A part that was killed before it could tell of its last checkpoint told nothing after it either.
    """
    standing: list[Event] = []
    for event in events:
        step = event.value.get("step", 0) if event.name == Name.TRAIN_START else None
        if step is not None:
            saved = [i for i, one in enumerate(standing) if one.name == Name.CHECKPOINT and one.value["step"] == step]
            if saved or step == 0:
                place = saved[-1] + 1 if saved else 0
                standing[place:] = [one for one in standing[place:] if one.name not in _UNDONE]
        standing.append(event)
    return standing

"""PerfLog: the lines by which a worker tells the outside what happens.

FlagPerf's format and event names, so that existing log tools go on working: `[PerfLog] ` and one JSON object with
`event`, `value` and `metadata` (`file`, `lineno`, `time_ms`, `rank`). Keys inside `value` are the same for all models.
A line is one `write` to a file opened for appending: a killed process loses nothing it has emitted.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from runner.core.storage import is_cut, write_all

PREFIX = "[PerfLog] "


class Name(StrEnum):
    """Event names: FlagPerf's first, then ours."""

    LAUNCH_TRAINING = "LAUNCH_TRAINING"
    SUBMIT_INFO = "SUBMIT_INFO"
    INIT_START = "INIT_START"
    INIT_END = "INIT_END"
    INIT_EVALUATION = "INIT_EVALUATION"
    TRAIN_START = "TRAIN_START"
    TRAIN_END = "TRAIN_END"
    STEP_END = "STEP_END"
    EVALUATE = "EVALUATE"
    FINISHED = "FINISHED"
    PREPARE = "PREPARE"
    ENVIRONMENT = "ENVIRONMENT"
    PRECISION = "PRECISION"
    ACCOUNT = "ACCOUNT"
    COMPILE = "COMPILE"
    COMPILED = "COMPILED"
    REFERENCE = "REFERENCE"
    NUMERICS = "NUMERICS"
    ACCURACY = "ACCURACY"
    POINT = "POINT"
    PLAN = "PLAN"
    COMMUNICATION = "COMMUNICATION"
    WARMUP_END = "WARMUP_END"
    SEGMENT_BEGIN = "SEGMENT_BEGIN"
    SEGMENT_END = "SEGMENT_END"
    MEMORY = "MEMORY"
    METRICS = "METRICS"
    CHECKPOINT = "CHECKPOINT"
    RESUMED = "RESUMED"
    SKIPPED = "SKIPPED"
    WARNING = "WARNING"
    LAUNCH_END = "LAUNCH_END"
    ERROR = "ERROR"


@dataclass(kw_only=True, slots=True, frozen=True)
class Event:
    """One PerfLog line."""

    name: str
    value: dict[str, Any]
    rank: int
    time_ms: int
    """Unix time in milliseconds."""
    monotonic_s: float
    """The machine's monotonic clock, shared by its processes; joins events with the power trace."""


class EventWriter:
    """Appends one rank's events to a file."""

    def __init__(self, path: Path, *, rank: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rank = rank
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._cut = is_cut(self._file)

    def emit(self, name: Name, value: dict[str, Any] | None = None, *, at: tuple[int, float] | None = None) -> None:
        """Append one event.

        Args:
            name: which event.
            value: its payload; numbers that are not finite are written as None.
            at: (`time_ms`, `monotonic_s`) of the moment it tells of, when that is not now.
        """
        caller = sys._getframe(1)
        time_ms, monotonic_s = at or (time.time_ns() // 1_000_000, time.monotonic())
        metadata = {
            "file": Path(caller.f_code.co_filename).name,
            "lineno": caller.f_lineno,
            "time_ms": time_ms,
            "monotonic_s": monotonic_s,
            "rank": self.rank,
        }
        line = {"event": name.value, "value": finite(value or {}), "metadata": metadata}
        # A line that a full disk cut off must not take the next one with it.
        before, self._cut = "\n" if self._cut else "", True
        write_all(self._file, f"{before}{PREFIX}{json.dumps(line)}\n".encode())
        self._cut = False

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def finite(value: Any) -> Any:
    """`value` with every number that JSON cannot hold (NaN, infinity) replaced by None, at any depth."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parse_line(line: str) -> Event | None:
    """The event in one line of a log; None for any other line, and for one that was cut off."""
    if not line.startswith(PREFIX):
        return None
    try:
        raw = json.loads(line[len(PREFIX) :])
        meta = raw["metadata"]
        return Event(
            name=raw["event"],
            value=raw.get("value") or {},
            rank=int(meta["rank"]),
            time_ms=int(meta["time_ms"]),
            monotonic_s=float(meta.get("monotonic_s", meta["time_ms"] / 1000)),
        )
    except (ValueError, KeyError, TypeError):
        return None


def read_events(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """Complete lines of `path` from byte `offset` on, as events, and the offset to go on from."""
    if not path.is_file():  # a pipe would be waited for
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    complete = data[: data.rfind(b"\n") + 1]
    parsed = (parse_line(line) for line in complete.decode(errors="replace").splitlines())
    return [event for event in parsed if event is not None], offset + len(complete)


def event_files(run_folder: Path) -> list[Path]:
    """The event files of a run folder, in rank order."""
    files = (run_folder / "events").glob("rank*.log")
    return sorted(files, key=lambda path: int(path.stem.removeprefix("rank")))


class EventTail:
    """Reads what is new in the event files of a run folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets = {path: path.stat().st_size for path in event_files(folder)}

    def new(self) -> list[Event]:
        """Events that came since the last call, in the order of their time."""
        events: list[Event] = []
        for path in event_files(self._folder):
            found, self._offsets[path] = read_events(path, self._offsets.get(path, 0))
            events += found
        return sorted(events, key=lambda event: event.time_ms)

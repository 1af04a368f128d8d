"""The power trace on disk (`power.csv`): its columns, a writer that loses nothing, a reader that survives a cut line.

Beside it lies `<trace>.meters.json`: which meters were opened or why not, their periods and what a reading costs.
"""

from __future__ import annotations

import csv
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, get_args

from hardware.meters.base import Reading, Scope

SAMPLER = "sampler"
"""Stands for the meter in rows that only mark a moment."""
CLOCK_SLACK_S = 60.0
"""By how much wall clock and monotonic clock may drift apart from one row to the next."""
LOST = "lost:"
BACK = "back:"
"""Prefixes of the marks that tell when a meter stopped and went on."""


@dataclass(kw_only=True, slots=True)
class TraceRow:
    """One line: one source at one moment, or a moment alone. Empty fields were not told."""

    monotonic_s: float
    unix_s: float
    mark: str | None = None
    """Name of the moment the reading was asked for; None for the regular ones."""
    meter: str
    source: str | None = None
    scope: Scope | None = None
    power_w: float | None = None
    energy_j: float | None = None
    energy_wrap_j: float | None = None
    temperature_c: float | None = None
    utilisation: float | None = None
    memory_used_bytes: int | None = None
    clock_mhz: float | None = None
    throttle: str | None = None
    """Empty: not throttled; a single blank on disk keeps it apart from None."""
    board: str | None = None
    shared_by: int | None = None
    disk_read_bytes: int | None = None
    disk_written_bytes: int | None = None
    network_sent_bytes: int | None = None
    network_received_bytes: int | None = None
    raw: str | None = None


COLUMNS = tuple(field.name for field in fields(TraceRow))
MARKING = ("monotonic_s", "unix_s", "mark", "meter", "source", "scope")
"""Columns that every trace has; of the others an older one may have fewer."""
_OF_READING = tuple(field.name for field in fields(Reading))


def row_of(reading: Reading, *, monotonic_s: float, unix_s: float, meter: str, mark: str | None = None) -> TraceRow:
    """A reading as a line of the trace."""
    told = {name: getattr(reading, name) for name in _OF_READING}
    return TraceRow(monotonic_s=monotonic_s, unix_s=unix_s, mark=mark, meter=meter, **told)


class TraceWriter:
    """Appends rows; each is on its way to the file before `write` returns. Safe to share between threads."""

    def __init__(self, path: Path, *, observe: Callable[[Sequence[TraceRow]], None] | None = None) -> None:
        """Open `path`, finishing a line that a killed sampler left there; `observe` is shown every row written."""
        self._observe = observe
        path.parent.mkdir(parents=True, exist_ok=True)
        # A run that is resumed goes on in the columns its trace was begun with: one file has one form.
        self._values = attrgetter(*(_columns(_first_line(path)) or COLUMNS))
        self._lock = threading.Lock()
        self._file = path.open("a", buffering=1, newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        if path.stat().st_size == 0:
            self._rows.writerow(COLUMNS)
        elif not _ends_a_line(path):
            self._file.write("\n")

    def write(self, *rows: TraceRow) -> None:
        """Append rows; nothing after `close`."""
        with self._lock:
            if not self._file.closed:
                self._rows.writerows([[_text(value) for value in self._values(row)] for row in rows])
        if self._observe is not None:
            self._observe(rows)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


def _first_line(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open(newline="", errors="replace") as file:
        return file.readline()


def _columns(header: str) -> tuple[str, ...] | None:
    """Columns of a trace by its first line; None when they are not those of a trace of this or an earlier version."""
    names = tuple(header.strip().split(","))
    known = set(MARKING) <= set(names) <= set(COLUMNS) and len(set(names)) == len(names)
    return names if known and header.endswith("\n") else None


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _text(value: Any) -> str:
    """A field of the CSV: one line always, floats with all their digits."""
    if value is None:
        return ""
    if isinstance(value, str):
        return " ".join(value.split()) or " "
    return repr(value)


def _scope(text: str) -> str:
    if text not in _SCOPES:
        raise ValueError(f"no scope is called {text}")
    return text


_SCOPES = frozenset(get_args(Scope))
_PARSE: dict[str, Callable[[str], Any]] = dict.fromkeys(COLUMNS, float) | {
    "mark": str,
    "meter": str,
    "source": str,
    "scope": _scope,
    "memory_used_bytes": int,
    "throttle": str.strip,
    "board": str,
    "shared_by": int,
    "disk_read_bytes": int,
    "disk_written_bytes": int,
    "network_sent_bytes": int,
    "network_received_bytes": int,
    "raw": str.strip,
}
"""Column to what its text means; an empty text means None and is not parsed."""


def iter_trace(path: Path) -> Iterator[TraceRow]:
    """Rows in the order they were written; lines that a kill cut short are left out. Empty without the file.

    Raises:
        ValueError: the file is no trace, or has columns that no version knew.
    """
    if not path.exists():
        return
    with path.open(newline="", errors="replace") as file:
        columns = _known_columns(path, file.readline())
        for line in file:
            row = _parse(line, columns) if line.endswith("\n") else None
            if row is not None:
                yield row


def read_from(path: Path, offset: int) -> Iterator[tuple[TraceRow, int]]:
    """Rows behind a place in the file, each with the place behind it; a line still being written is left for later.

    Args:
        path: the trace; may be absent.
        offset: bytes read before; 0 begins behind the header.

    Raises:
        ValueError: the file is no trace, or has columns that no version knew.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        header = file.readline()
        columns = _known_columns(path, header.decode(errors="replace"))
        place = max(offset, len(header))
        file.seek(place)
        for line in file:
            if not line.endswith(b"\n"):
                return
            place += len(line)
            row = _parse(line.decode(errors="replace"), columns)
            if row is not None:
                yield row, place


def _known_columns(path: Path, header: str) -> tuple[str, ...]:
    """The columns of a trace; none while its first line is still being written."""
    columns = _columns(header)
    if columns is None and header.endswith("\n"):
        raise ValueError(f"{path} is no power trace of this version: its columns are {header.strip()}")
    return columns or ()


def _parse(line: str, columns: Sequence[str]) -> TraceRow | None:
    try:
        fields_ = next(csv.reader([line], strict=True), [])
        if len(fields_) != len(columns):
            return None
        told = {name: _PARSE[name](text) for name, text in zip(columns, fields_, strict=True) if text}
        return TraceRow(**told)
    except (ValueError, TypeError, csv.Error):
        return None  # TypeError: a field that must be there is empty


def read_trace(path: Path) -> list[TraceRow]:
    """All rows of a trace; `iter_trace` for long ones.

    Raises:
        ValueError: the file is no trace, or has columns that no version knew.
    """
    return list(iter_trace(path))


def meters_path(trace: Path) -> Path:
    """The file beside `trace` that tells about its meters."""
    return trace.with_name(f"{trace.name}.meters.json")


def write_meters(trace: Path, content: dict[str, Any]) -> None:
    """Write it in one step, so that no reader sees half of it."""
    path = meters_path(trace)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(content, indent=1) + "\n")
    draft.replace(path)


def read_meters(trace: Path) -> dict[str, Any]:
    """`{"meters": {name: {...}}, "sampler": {...}}`; empty without the file or when it is damaged."""
    try:
        content = json.loads(meters_path(trace).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def costs_of(told: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """By meter; older traces do not tell."""
    costs = {}
    for name, meter in told.items():
        period_s, read_cpu_s = (meter.get(key) for key in ("period_s", "read_cpu_s"))
        if period_s and read_cpu_s:
            costs[name] = (float(period_s), read_cpu_s / period_s)
    return costs


def other_boot(before: TraceRow, after: TraceRow) -> bool:
    """Whether the monotonic clock began anew: a run was resumed after a reboot, and what came before is void.

    A slow meter's row is late on both clocks; only a reboot moves the monotonic one back alone.
    """
    moved_s = (after.unix_s - after.monotonic_s) - (before.unix_s - before.monotonic_s)
    return after.monotonic_s < before.monotonic_s and moved_s > CLOCK_SLACK_S

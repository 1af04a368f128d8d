"""`steps.csv` as it is read: whole rows, and of a step that was done again only how it went the last time."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

Row = dict[str, str]
"""By column; an empty field was not told."""
_COUNTS = ("rank", "step", "samples")
_SECONDS = ("seconds", "core_seconds", "own_seconds", "wait_seconds")
"""Those of the ranks' own work are in no file of an earlier version."""


def read_rows(path: Path) -> list[Row]:
    """Rows by rank, each rank's in the order of its steps; empty without the file.

    A row that a full disk or a kill cut off, or that the next one was written behind, is left out: a part of a number
    is a number, too. A part of a run that begins again at an earlier step, from a checkpoint or from the start, undoes
    what was trained from that step on.
    """
    if not path.is_file():
        return []
    ranks: dict[int, list[Row]] = defaultdict(list)
    with path.open(newline="", errors="replace") as file:
        columns = file.readline().strip().split(",")
        for line in file:
            row = _whole(line, columns)
            if row is not None:
                done = ranks[int(row["rank"])]
                while done and int(done[-1]["step"]) >= int(row["step"]):
                    done.pop()
                done.append(row)
    return [row for _, rows in sorted(ranks.items()) for row in rows]


def _whole(line: str, columns: list[str]) -> Row | None:
    """The fields of a complete line; null for any other."""
    fields = line.rstrip("\r\n").split(",")
    if not line.endswith("\n") or len(fields) != len(columns):
        return None
    row = dict(zip(columns, fields, strict=True))
    counted = all(row.get(name, "").isdecimal() for name in _COUNTS)
    timed = all(not row.get(name) or _is_duration(row[name]) for name in _SECONDS)
    return row if counted and timed and row.get("phase") else None


def _is_duration(text: str) -> bool:
    try:
        return 0 <= float(text) < math.inf
    except ValueError:
        return False

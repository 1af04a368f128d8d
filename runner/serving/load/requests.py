"""What is noted of a request while it is answered, and `requests.csv`, which holds all of a window's."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("request", "segment", "arrived_s", "begun_s", "first_token_s", "ended_s", "samples", "tokens")
"""Times are monotonic seconds; `first_token_s` and `tokens` are empty where a request is not answered in tokens."""
FILE = "requests.csv"


@dataclass(kw_only=True, slots=True)
class Request:
    """One request, by the harness's clock."""

    number: int
    arrived_s: float
    """When it was due: an answer that had to wait for its turn has waited from here on."""
    begun_s: float
    """When the engine was asked."""
    ended_s: float
    """When the whole answer was on the host."""
    samples: int
    tokens: int | None = None
    """Tokens of the answer, over all of its rows."""
    first_token_s: float | None = None
    """When the first token of the answer was on the host."""

    @property
    def latency_s(self) -> float:
        """From arrival to the whole answer."""
        return self.ended_s - self.arrived_s


def append_requests(folder: Path, segment: int, requests: Iterable[Request]) -> None:
    """Add a window's requests to the run folder."""
    path = folder / FILE
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if fresh:
            writer.writerow(COLUMNS)
        for one in requests:
            first = "" if one.first_token_s is None else repr(one.first_token_s)
            times = (repr(one.arrived_s), repr(one.begun_s), first, repr(one.ended_s))
            writer.writerow((one.number, segment, *times, one.samples, "" if one.tokens is None else one.tokens))


def read_requests(folder: Path) -> list[Request]:
    """The requests of a run folder's windows, in the order in which they were sent; empty without the file.

    A row that a full disk or a kill cut off is left out.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        lines = [line for line in file if line.endswith("\n")]
    rows = (row for row in csv.DictReader(lines) if None not in row.values() and None not in row)
    return [
        Request(
            number=int(row["request"]),
            arrived_s=float(row["arrived_s"]),
            begun_s=float(row["begun_s"]),
            ended_s=float(row["ended_s"]),
            samples=int(row["samples"]),
            tokens=int(row["tokens"]) if row["tokens"] else None,
            first_token_s=float(row["first_token_s"]) if row["first_token_s"] else None,
        )
        for row in rows
    ]

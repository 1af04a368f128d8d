"""What is noted of a request while it is answered, and `requests.csv`, which holds all of a window's."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPTIONAL = ("input_tokens", "tokens", "steps")
COLUMNS = ("request", "segment", "arrived_s", "begun_s", "first_token_s", "ended_s", "samples", *OPTIONAL)
"""Times are monotonic seconds; `first_token_s`, `tokens` and `steps` are empty where no answer is in tokens."""
FILE = "requests.csv"
TOKEN_COLUMNS = ("request", "segment", "step", "moment_s")
"""When a request's tokens, one of each row that still writes, were on the host; steps count from 0."""
TOKEN_FILE = "tokens.csv"


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
    input_tokens: int | None = None
    """Tokens of what was asked, over all rows, without padding."""
    tokens: int | None = None
    """Tokens of the answer, over all of its rows: those generated, up to the end of the row's text with it."""
    steps: int | None = None
    """Tokens of the longest row's answer."""
    first_token_s: float | None = None
    """When the first token of the answer was on the host."""
    moments_s: tuple[float, ...] = ()
    """When each step's tokens were; of requests that were read from `requests.csv` they are in `tokens.csv`."""

    @property
    def latency_s(self) -> float:
        """From arrival to the whole answer."""
        return self.ended_s - self.arrived_s

    @property
    def ttft_s(self) -> float | None:
        """From arrival to the first token; None where no answer is in tokens."""
        return None if self.first_token_s is None else self.first_token_s - self.arrived_s

    @property
    def tpot_s(self) -> float | None:
        """Per further token of the longest row: (last - first) ÷ (tokens - 1); None where there is none."""
        if self.first_token_s is None or not self.steps or self.steps < 2:  # noqa: PLR2004 - the first and a further one
            return None
        return (self.ended_s - self.first_token_s) / (self.steps - 1)


def append_requests(folder: Path, segment: int, requests: Sequence[Request]) -> None:
    """Add a window's requests to the run folder, and the moments of their tokens where there are any."""
    rows = (
        (
            *(one.number, segment, repr(one.arrived_s), repr(one.begun_s)),
            *("" if one.first_token_s is None else repr(one.first_token_s), repr(one.ended_s), one.samples),
            *("" if (value := getattr(one, name)) is None else value for name in OPTIONAL),
        )
        for one in requests
    )
    _append(folder / FILE, COLUMNS, rows)
    if any(one.moments_s for one in requests):
        moments = ((one.number, step, at_s) for one in requests for step, at_s in enumerate(one.moments_s))
        rows = ((number, segment, step, repr(at_s)) for number, step, at_s in moments)
        _append(folder / TOKEN_FILE, TOKEN_COLUMNS, rows)


def _append(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if fresh:
            writer.writerow(columns)
        writer.writerows(rows)


def read_requests(folder: Path) -> list[Request]:
    """The requests of a run folder's windows, in the order in which they were sent; empty without the file.

    A row that a full disk or a kill cut off is left out.
    """
    return [
        Request(
            number=int(row["request"]),
            arrived_s=float(row["arrived_s"]),
            begun_s=float(row["begun_s"]),
            ended_s=float(row["ended_s"]),
            samples=int(row["samples"]),
            first_token_s=float(row["first_token_s"]) if row["first_token_s"] else None,
            input_tokens=_count(row.get("input_tokens")),
            tokens=_count(row.get("tokens")),
            steps=_count(row.get("steps")),
        )
        for row in _whole_rows(folder / FILE)
    ]


def token_gaps_s(folder: Path) -> list[float]:
    """Seconds between one step's tokens and the next one's, of all requests of the windows; empty without the file."""
    gaps: list[float] = []
    last: tuple[str, float] | None = None
    for row in _whole_rows(folder / TOKEN_FILE):
        number, at_s = row["request"], float(row["moment_s"])
        if last is not None and last[0] == number:
            gaps.append(at_s - last[1])
        last = (number, at_s)
    return gaps


def _count(text: str | None) -> int | None:
    return int(text) if text else None


def _whole_rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        lines = [line for line in file if line.endswith("\n")]
    return [row for row in csv.DictReader(lines) if None not in row.values() and None not in row]

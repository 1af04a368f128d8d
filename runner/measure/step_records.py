"""`steps.csv`: every optimizer step of every rank, as numbers."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.core.storage import is_cut, write_all


@dataclass(kw_only=True, slots=True, frozen=True)
class StepRecord:
    """One optimizer step, read back after the segment."""

    step: int
    seconds: float | None
    """Device time from the end of the previous step to the end of this one: waiting for data included. None where the
    stack has no device events: the host's clock tells when a step was handed over, not when it was done."""
    core_seconds: float | None
    """Device time from batch on the device to the end of the pass: waiting for data excluded. None as above."""
    samples: int
    """0 of a step that the gradient scaler skipped: nothing was learnt from them."""
    tokens: int | None
    loss: float | None
    """None where nothing is learnt: of a request to a served model."""
    learning_rate: float
    """The rate that the step was taken with."""
    offset_s: float
    """End of the step, in seconds after the segment began; without device events, when it was handed over."""
    skipped: bool = False
    """Whether the gradient scaler left the weights alone."""
    own_seconds: float | None = None
    """Device time of what this rank did by itself: waiting for data, forward and backward pass up to where it waits for
    the other ranks. None of a single rank, and where they wait for each other on the way."""
    wait_seconds: float | None = None
    """Device time between the ranks' own work: waiting for slower ones and for what is sent. None as above."""


class StepsFile:
    """`steps.csv`: every step of every rank, appended after each segment. The parent creates it with its header."""

    COLUMNS = (
        *("rank", "step", "phase", "seconds", "core_seconds", "samples", "tokens", "loss"),
        *("own_seconds", "wait_seconds"),
    )

    def __init__(self, path: Path, *, rank: int) -> None:
        self._path, self._rank = path, rank

    @classmethod
    def create(cls, path: Path) -> None:
        """Write the header, unless an earlier part of the run has done so."""
        if not path.exists():
            path.write_text(",".join(cls.COLUMNS) + "\n")

    def append(self, phase: str, records: Iterable[StepRecord]) -> None:
        """Add the steps of one segment in one write, so that ranks do not cut each other's lines."""
        text = io.StringIO()
        writer, columns = csv.writer(text, lineterminator="\n"), self._columns()
        for record in records:
            fields = asdict(record) | {"rank": self._rank, "phase": phase}
            writer.writerow("" if fields[name] is None else fields[name] for name in columns)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            # A row that a full disk or a kill cut off must not take the next one with it.
            write_all(file, ("\n" if is_cut(file) else "").encode() + text.getvalue().encode())
        finally:
            os.close(file)

    def _columns(self) -> tuple[str, ...]:
        """Those of the file: an earlier version, whose run is resumed, began it with fewer."""
        try:
            with self._path.open(errors="replace") as file:
                found = tuple(file.readline().strip().split(","))
        except OSError:
            return self.COLUMNS
        return found if set(found) <= set(self.COLUMNS) else self.COLUMNS

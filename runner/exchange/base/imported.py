"""What a reader found in another tool's file, before it is a report of ours."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from runner.core.errors import ConfigurationError
from runner.record.values import Missing, Values

PARTS_OF_A_PATH = 4
"""Last parts of a file's path that are kept: those before them say something of the machine alone."""


class Dropped(NamedTuple):
    """A figure of the other tool that was not taken over."""

    name: str
    """As the tool calls it."""
    why: str


@dataclass(kw_only=True, slots=True)
class Imported:
    """One result of another tool. What is not there is not known, and is never guessed."""

    format: str
    """Name of the reader, as `--format` takes it."""
    version: str
    """Of the format, as far as its file tells; else which of its forms it is."""
    name: str
    """What tells this result from others of the format: the name of its folder."""
    source: Path
    """The file that holds the figures."""
    beside: list[Path] = field(default_factory=list)
    """Further files that were read."""
    excerpt: str | None = None
    """The part of `source` that this result was read from, where the file holds many; kept in place of the file."""
    case: dict[str, Any] = field(default_factory=dict)
    """Keys of `Report.case` that the file tells."""
    metrics: tuple[str, ...] = ()
    """Names of the qualities or accuracies that the file tells."""
    values: Values = field(default_factory=dict)
    """Our figures, in our units; one that the file has and that cannot be used is Missing with the reason."""
    counts: str | None = None
    """What the tool counted where our unit is the model's own, in the plural; null where it does not say."""
    dropped: list[Dropped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader of the figures must know."""
    points: list[dict[str, Any]] = field(default_factory=list)
    by_batch: dict[int, Values] = field(default_factory=dict)
    """The figures of each batch size, where the file has several; `values` are those of the fastest."""
    environment: dict[str, Any] = field(default_factory=dict)
    changed: list[dict[str, Any]] = field(default_factory=list)
    """Of the division: what the file says was changed of the model."""
    error: tuple[str, str] | None = None
    """Why the tool calls the result invalid: class and message."""

    def drop(self, name: str, why: str) -> None:
        """Say that a figure of the tool is not taken over; each is said once."""
        if all(one.name != name for one in self.dropped):
            self.dropped.append(Dropped(name, why))

    def missing(self, ours: str, theirs: str, why: str) -> None:
        """Leave one of our figures null, because the tool's figure does not mean the same."""
        self.values[ours] = Missing(why)
        self.drop(theirs, why)


def number_of(value: object, *, what: str, source: Path) -> float | None:
    """A finite number, or null where the tool writes that there is none.

    Raises:
        ConfigurationError: neither; names the figure and the file.
    """
    if value is None or (isinstance(value, str) and value.strip() in ("", "/", "-", "N/A", "n/a", "nan", "NaN")):
        return None
    if not isinstance(value, bool) and isinstance(value, int | float | str):
        try:
            found = float(value)
        except ValueError:
            found = math.inf
        if math.isnan(found):
            return None
        if math.isfinite(found):
            return found
    raise ConfigurationError(f"{source}: {what} is {str(value)[:60]!r}, which is no number. The file may be damaged.")


def scaled(value: float, factor: str) -> float:
    """`value` times `factor`, a power of ten as text, exact in decimal digits: 0.2503 s is 250.3 ms."""
    return float(Decimal(repr(float(value))) * Decimal(factor))


def short(path: Path) -> str:
    """The last parts of a path, which name a file without telling where on the machine it lay."""
    return "/".join(path.resolve().parts[-PARTS_OF_A_PATH:])

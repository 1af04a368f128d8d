"""What the devices of a node told during their burn-in, as it is kept in the node's folder and read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from runner.core.errors import ConfigurationError

SUBJECTS = "measured.json"
ROUNDS = "rounds.jsonl"
"""In a device's folder: a line for each round."""
SCHEMA_VERSION = 1
NO_ECC = "no meter reads it"


@dataclass(kw_only=True, slots=True)
class Round:
    """One round of one device."""

    number: int
    seconds: float
    figures: dict[str, float]
    """Name to value, in its unit; what was not measured is not among them."""
    units: dict[str, str] = field(default_factory=dict)
    sheet: dict[str, float] = field(default_factory=dict)
    """What the data sheet says of a figure, in its unit."""
    failures: list[str] = field(default_factory=list)
    exit_code: int = 0
    """Of the first failure."""
    throttled_by: list[str] = field(default_factory=list)
    temperature_max_c: float | None = None
    chip: str | None = None
    no_data_sheet: str | None = None
    """Why the catalogue says nothing of the chip."""
    uuid: str | None = None

    def append(self, folder: Path) -> None:
        """Write it after those before it."""
        with (folder / ROUNDS).open("a") as file:
            file.write(json.dumps(asdict(self)) + "\n")


@dataclass(kw_only=True, slots=True)
class BurnedIn:
    """What is judged: a device, a link between two, or all devices of a node together."""

    kind: Literal["device", "link", "node"]
    node: str
    label: str
    """`0`, `0->1`, `all`."""
    chip: str | None = None
    uuid: str | None = None
    rounds: int = 0
    figures: dict[str, list[float]] = field(default_factory=dict)
    """Name to what each round measured."""
    units: dict[str, str] = field(default_factory=dict)
    sheet: dict[str, float] = field(default_factory=dict)
    no_data_sheet: str | None = None
    failures: list[str] = field(default_factory=list)
    exit_code: int = 0
    throttled_by: list[str] = field(default_factory=list)
    temperature_max_c: float | None = None

    @property
    def name(self) -> str:
        """For people: `node7 device 3`."""
        return f"{self.node} {self.kind} {self.label}" if self.kind != "node" else f"{self.node}, all devices"


def device_of(node: str, index: int, rounds: Sequence[Round]) -> BurnedIn:
    """A device from its rounds; one that told nothing has a failure that says so."""
    made = BurnedIn(kind="device", node=node, label=str(index), rounds=len(rounds))
    for one in rounds:
        for name, value in one.figures.items():
            made.figures.setdefault(name, []).append(value)
        made.units |= one.units
        made.sheet |= one.sheet
        made.failures += [f"round {one.number}: {text}" for text in one.failures]
        made.exit_code = made.exit_code or one.exit_code
        made.throttled_by = sorted({*made.throttled_by, *one.throttled_by})
        told = [value for value in (made.temperature_max_c, one.temperature_max_c) if value is not None]
        made.temperature_max_c = max(told, default=None)
        made.chip, made.uuid = one.chip or made.chip, one.uuid or made.uuid
        made.no_data_sheet = one.no_data_sheet or made.no_data_sheet
    if not rounds:
        made.failures.append("it did not come to the end of a round")
        made.exit_code = 10
    return made


def read_rounds(folder: Path) -> list[Round]:
    """The rounds that a device finished; half a line, of one that was ended while it wrote, is left out."""
    try:
        lines = (folder / ROUNDS).read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [Round(**json.loads(line)) for line in lines if line.endswith("\n")]


def save_subjects(folder: Path, subjects: Sequence[BurnedIn]) -> None:
    """Keep what was measured, for a judgement of several nodes."""
    content = {"schema_version": SCHEMA_VERSION, "subjects": [asdict(one) for one in subjects]}
    (folder / SUBJECTS).write_text(json.dumps(content, indent=1) + "\n")


def load_subjects(folder: Path) -> list[BurnedIn]:
    """What a node measured.

    Raises:
        ConfigurationError: the folder is no acceptance's, or of another version.
    """
    path = folder / SUBJECTS
    try:
        content = json.loads(path.read_text())
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"it has version {content['schema_version']}, and this one reads {SCHEMA_VERSION}")
        return [BurnedIn(**one) for one in content["subjects"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"--fleet {folder}: {SUBJECTS} cannot be read there ({error}). Give folders that runner.acceptance left: "
            "outputs/burn_in/…"
        ) from error

"""`sweep.json`: what a sweep was asked for, and where each case ended. What is missing is known by it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import TypeAdapter, ValidationError

from runner.commandline.quoting import without_secrets
from runner.config.plan import Planned

FILE = "sweep.json"
SCHEMA_VERSION = 1


@dataclass(kw_only=True, slots=True)
class SweepCase:
    """One case that a sweep was asked for."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    """`train_bert_tiny_fp32_cpu`; for people."""
    key: tuple[str, ...]
    """What tells it from the others: the suite's own words for it, or those typed."""
    identity: str | None
    """Of the case; None where a value of it is not valid."""
    suite: str | None = None
    weight: float = 1.0
    figure: str | None = None
    folder: str | None = None
    """Its run folder, relative to the sweep's; None until it has one."""
    exit_code: int | None = None
    """None until it has ended."""
    seconds: float | None = None
    """How long it took, start and filing included; None where it did not run, or was done already."""
    done_already: bool = False
    """Whether `resume=true` found its result in an earlier folder."""


@dataclass(kw_only=True, slots=True)
class SweepRecord:
    """All cases of a sweep, in the order in which they run."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    cases: list[SweepCase] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    def save(self, folder: Path) -> None:
        """Write it in one step, so that no reader sees half of it."""
        draft = folder / f"{FILE}.tmp"
        draft.write_text(json.dumps(asdict(self), indent=1) + "\n")
        draft.replace(folder / FILE)


def planned(plans: Sequence[Planned]) -> SweepRecord:
    """The record of a sweep that has not begun."""
    return SweepRecord(cases=[_case(one) for one in plans])


def _case(one: Planned) -> SweepCase:
    name = one.case.name if one.case is not None else " ".join(one.overrides)
    key = one.asked.key if one.asked is not None else one.overrides
    return SweepCase(
        name=without_secrets(name),
        key=tuple(without_secrets(word) for word in key),
        identity=one.case.identity if one.case is not None else None,
        suite=one.asked.suite if one.asked else None,
        weight=one.asked.weight if one.asked else 1.0,
        figure=one.asked.figure if one.asked else None,
    )


def load_sweep(folder: Path) -> SweepRecord:
    """The record of a sweep's folder.

    Raises:
        OSError: it has none.
        ValueError: it is of another version, or malformed.
    """
    path = folder / FILE
    try:
        raw = json.loads(path.read_text())
        if raw["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"{path} has version {raw['schema_version']}; this one reads {SCHEMA_VERSION}")
        return TypeAdapter(SweepRecord).validate_python(raw)
    except (KeyError, TypeError, ValidationError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no record of a sweep: {error}") from error


def place_of(run_folder: Path, sweep_folder: Path) -> str:
    """A run folder as a sweep's record names it: both can be moved together."""
    return os.path.relpath(run_folder, sweep_folder)


def earlier_seconds(root: Path) -> dict[str, float]:
    """How long cases took in earlier sweeps under an output root, by identity; the newest sweep's where there are more.

    Only sweeps are looked at, of which there are few; a record that cannot be read tells nothing.
    """
    found: dict[str, float] = {}
    for path in sorted(root.glob(f"*/*/{FILE}"), key=lambda one: one.stat().st_mtime):
        try:
            cases = load_sweep(path.parent).cases
        except (OSError, ValueError):
            continue
        found |= {
            case.identity: case.seconds for case in cases if case.identity and case.seconds and not case.exit_code
        }
    return found

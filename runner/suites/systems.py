"""The two sides of a score: a sweep's results, and as reference another sweep or what was published of a chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from hardware.chips import find_chip
from models.published import Published, PublishedFigure
from runner.commandline.catalogue import nearest
from runner.core import packages
from runner.core.errors import ConfigurationError, TouchstoneError
from runner.record.report import Report
from runner.results.find import load
from runner.suites.sweep_record import FILE, SweepCase, load_sweep

PUBLISHED = "published:"
_FREE = (
    *("vendor", "compiler", "topology", "tracking", "run", "meters", "fairness", "measure", "resume", "debug"),
    *("hydra", "tuning", "scale", "emulate", "seed", "model.train.batch_size", "model.memory_format", "data.workers"),
    "model.train.gradient_accumulation_steps",
)
"""Keys that tell two cases of the same command line from each other on no system."""


@dataclass(kw_only=True, slots=True)
class Ran:
    """A case that a sweep was asked for, with its result where there is one."""

    asked: SweepCase
    report: Report | None
    problem: str | None
    """Why there is none."""

    @property
    def key(self) -> tuple[str, ...]:
        """What finds the same case in another sweep."""
        if self.asked.suite is not None:
            return self.asked.suite, *self.asked.key
        return tuple(sorted(word for word in self.asked.key if not _free(word)))


@dataclass(kw_only=True, slots=True)
class SweepSystem:
    """What a system did in a sweep."""

    folder: Path
    cases: list[Ran]

    def find(self, wanted: Ran) -> Ran | None:
        """The same case here: by its words, else the only one of its task, model and precision."""
        exact = [one for one in self.cases if one.key == wanted.key]
        if exact or wanted.report is None:
            return exact[0] if exact else None
        for fields in (("task", "model"), ("task", "model", "precision")):
            found = [one for one in self.cases if one.report and _same(one.report, wanted.report, fields)]
            if len(found) == 1:
                return found[0]
        return None


@dataclass(kw_only=True, slots=True)
class PublishedSystem:
    """What others published of a chip."""

    chip: str
    figures: dict[str, list[PublishedFigure]] = field(default_factory=dict)
    """By model."""


def read_sweep(folder: Path) -> SweepSystem:
    """Every case of a sweep's folder.

    Raises:
        ConfigurationError: it is no sweep's, or of an earlier version that did not write down what was asked for.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder {folder}.")
    if not (folder / FILE).is_file():
        raise ConfigurationError(
            f"{folder} has no {FILE}, so nobody knows which cases were asked for and which are missing. Give the "
            "folder of a sweep (…_sweep). One of an earlier version is run again with resume=true, which takes over "
            "what is done."
        )
    try:
        record = load_sweep(folder)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{error}. Run the suite again with resume=true.") from error
    return SweepSystem(folder=folder, cases=[_read(case, folder) for case in record.cases])


def _read(case: SweepCase, folder: Path) -> Ran:
    if case.folder is None:
        return Ran(asked=case, report=None, problem="it was not run")
    try:
        return Ran(asked=case, report=load(folder / case.folder), problem=None)
    except TouchstoneError as error:
        return Ran(asked=case, report=None, problem=str(error))


def read_published(chip: str) -> PublishedSystem:
    """All that conf/published holds of a chip.

    Raises:
        ConfigurationError: nothing was published of it; names the nearest one.
    """
    entry = find_chip(chip)
    name = entry.name if entry else chip
    found: dict[str, list[PublishedFigure]] = {}
    for model, figures in _all_published().items():
        own = [one for one in figures if _named(one.chip) == name]
        if own:
            found[model] = own
    if not found:
        known = sorted({one.chip for figures in _all_published().values() for one in figures})
        raise ConfigurationError(
            f"{PUBLISHED}{chip}: conf/published has nothing of this chip.{nearest(chip, known)} "
            f"It has: {', '.join(known)}."
        )
    return PublishedSystem(chip=name, figures=found)


@cache
def _all_published() -> dict[str, tuple[PublishedFigure, ...]]:
    adapter = TypeAdapter(Published)
    paths = {model: packages.leaf("published", model) for model in packages.choices("published")}
    return {
        model: adapter.validate_python(yaml.safe_load(path.read_text()) or {}).figures
        for model, path in paths.items()
        if path is not None
    }


def _named(chip: str) -> str:
    entry = find_chip(chip)
    return entry.name if entry else chip


def _free(word: str) -> bool:
    key = word.partition("=")[0].lstrip("+~")
    return any(key == free or key.startswith(f"{free}.") for free in _FREE)


def _same(one: Report, other: Report, fields: Sequence[str]) -> bool:
    def held(report: Report) -> list[Any]:
        return [report.case.get(name) for name in fields]

    return held(one) == held(other)

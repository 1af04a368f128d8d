"""Every format that can be read, and which one a path is of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.core.errors import ConfigurationError
from runner.exchange import inferencex
from runner.exchange.base.imported import Imported
from runner.exchange.base.titles import TITLES
from runner.exchange.bytemlperf import reader as bytemlperf
from runner.exchange.flagperf import reader as flagperf
from runner.exchange.flagperf import table as flagperf_table
from runner.exchange.mlperf import log as mlperf_log
from runner.exchange.mlperf import mllog
from runner.exchange.mlperf import summary as mlperf_summary
from runner.results.find import REPORT, is_run


@dataclass(kw_only=True, slots=True, frozen=True)
class Format:
    """A reader."""

    name: str
    detect: Callable[[Path], bool]
    read: Callable[[Path], list[Imported]]


FORMATS = {
    module.NAME: Format(name=module.NAME, detect=module.detect, read=module.read)
    for module in (bytemlperf, mlperf_summary, inferencex, mlperf_log, mllog, flagperf_table, flagperf)
}
"""In the order in which they are asked: those that know their files by more than a line in them come first."""


def known_formats() -> str:
    """The formats as a sentence names them."""
    return ", ".join(f"{name} ({TITLES[name]})" for name in FORMATS)


def find(path: Path, only: str | None = None) -> list[tuple[Path, Format]]:
    """What can be read at a path: the path itself, or what lies below it.

    Args:
        path: a file or a folder.
        only: the format to take everything for; a file that it does not detect is an error of the user's.

    Raises:
        ConfigurationError: no such path, a result of this engine, or nothing of a known format.
    """
    if not path.exists():
        raise ConfigurationError(f"There is no {path} to import.")
    if path.is_file():
        chosen = _format_of(path, only)
        if chosen is None:
            raise ConfigurationError(_unknown(path, only))
        return [(path, chosen)]
    if is_run(path):
        raise ConfigurationError(f"{path} is a result of this engine already: python -m runner.report shows it.")
    found = list(_below(path, only))
    if not found:
        raise ConfigurationError(_unknown(path, only))
    return found


def _unknown(path: Path, only: str | None) -> str:
    said = "nothing in it is" if path.is_dir() else "it is not"
    if only:
        return f"{path}: {said} of the format {only}, which --format names."
    return f"{path}: {said} of a format that is known here. Known are {known_formats()}."


def _format_of(path: Path, only: str | None) -> Format | None:
    asked = [FORMATS[only]] if only else list(FORMATS.values())
    return next((one for one in asked if one.detect(path)), None)


def _below(folder: Path, only: str | None) -> Iterator[tuple[Path, Format]]:
    """In the order of names; what a reader takes as a whole folder is not looked into, nor is a result of ours."""
    for current, below, files in os.walk(folder):
        here = Path(current)
        if is_run(here):
            below.clear()
            continue
        if (only in (None, flagperf.NAME)) and flagperf.detect(here):
            below.clear()
            yield here, FORMATS[flagperf.NAME]
            continue
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(files):
            path = here / name
            if name != REPORT and path.is_file() and (chosen := _format_of(path, only)):
                yield path, chosen

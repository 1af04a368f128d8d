"""Keeps an imported result as a run folder: `report.json` and what it was read from. Nothing is ever overwritten."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runner.exchange.base.imported import Imported
from runner.record.report import Report, load_report
from runner.results.find import REPORT

SOURCE = "source"
LONGEST = 120
_PLAIN = re.compile(r"[^\w.=+-]+")
_SAVED_LATER = ("hash", "files")


@dataclass(kw_only=True, slots=True, frozen=True)
class Kept:
    """Where a result lies, and whether it was there before."""

    folder: Path
    outcome: Literal["imported", "already there"]


def keep(imported: Imported, report: Report, root: Path) -> Kept:
    """Save a result under `<root>/<format>/<name>`; other content of the same name gets a number.

    Raises:
        OSError: it cannot be written there.
    """
    name = _PLAIN.sub("_", imported.name).strip("._")[:LONGEST] or "result"
    number = 1
    while True:
        folder = root / imported.format / (name if number == 1 else f"{name}-{number}")
        if not folder.exists():
            break
        if _same(folder, imported, report):
            return Kept(folder=folder, outcome="already there")
        number += 1
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    (draft / SOURCE).mkdir(parents=True)
    _copy_sources(imported, draft / SOURCE)
    report.save(draft / REPORT)
    draft.rename(folder)
    return Kept(folder=folder, outcome="imported")


def _same(folder: Path, imported: Imported, report: Report) -> bool:
    try:
        part = _part(imported, folder / SOURCE)
        if part is not None and part.read_text(encoding="utf-8").rstrip("\n") != imported.excerpt:
            return False  # cheaper than reading a report, of a file with a thousand results of one name
        there = load_report(folder / REPORT)
    except (OSError, ValueError):
        return False
    return _content(there) == _content(report)


def _content(report: Report) -> dict[str, Any]:
    return {key: value for key, value in report.to_dict().items() if key not in _SAVED_LATER}


def _part(imported: Imported, to: Path) -> Path | None:
    """Where a result's part of a file with many lies; None where the whole file is kept."""
    return None if imported.excerpt is None else to / f"{imported.source.stem}.part.json"


def _copy_sources(imported: Imported, to: Path) -> None:
    """The files; of one that holds many results, the part that this one was read from."""
    part = _part(imported, to)
    if part is not None:
        part.write_text(f"{imported.excerpt}\n", encoding="utf-8")
        return
    for path in (imported.source, *imported.beside):
        place = to / path.name
        if place.exists():
            place = to / f"{path.parent.name}_{path.name}"
        shutil.copyfile(path, place)

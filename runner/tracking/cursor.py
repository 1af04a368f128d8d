"""`tracking.json`: how much of a folder has been filed, and where."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

FILE = "tracking.json"
LOCK = "tracking.lock"
"""Held by whoever files the folder, so that two processes never do at once."""


@dataclass(kw_only=True, slots=True)
class Cursor:
    """What has been filed of one folder; written only after the upload it tells of."""

    run_uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Our name for the run, a tag in MLflow; stored before the run is created, so that a crash makes no second one."""
    uri: str | None = None
    """Where it is filed, without credentials."""
    experiment_id: str | None = None
    run_id: str | None = None
    parent_run_id: str | None = None
    offsets: dict[str, int] = field(default_factory=dict)
    """Bytes that have been filed of each file of events: the run's own, and its repeats'."""
    system_sources: list[str] = field(default_factory=list)
    """Devices in the order of their numbers in the system metrics."""
    described: bool = False
    """Whether the parameters are there."""
    finished: bool = False
    report_hash: str | None = None
    """The report that was filed."""
    figures_hash: str | None = None
    """The figures that are, or are about to be, filed."""
    figures_time_ms: int | None = None
    """Their time stamp; fixed before they are sent, so that sending them again changes nothing."""
    source: dict[str, str] = field(default_factory=dict)
    """Tags about the source code at the time of the run; nobody can find them out later."""
    sweep: str | None = None
    """The sweep's name when the folder is a sweep's; None for a run."""
    varied: list[str] = field(default_factory=list)
    """Keys by which a sweep's cases differ."""
    status: str | None = None
    """The status a sweep was ended with; cases that are run again may change it."""

    def moved_to(self, uri: str) -> Cursor:
        """A cursor for a store that knows nothing of this run yet, or has lost it."""
        return Cursor(run_uid=self.run_uid, uri=uri, source=self.source, sweep=self.sweep, varied=self.varied)

    def save(self, folder: Path) -> None:
        """Write `tracking.json` in one step, so that a crash leaves the old or the new one."""
        path = folder / FILE
        draft = path.with_suffix(".json.tmp")
        draft.write_text(json.dumps(asdict(self), indent=1) + "\n")
        draft.replace(path)


@cache
def _adapter() -> TypeAdapter[Cursor]:
    """Made once: that takes milliseconds, and there may be thousands of cursors."""
    return TypeAdapter(Cursor)


def load_cursor(folder: Path) -> Cursor | None:
    """The cursor of a folder; None when nothing was ever filed.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        raw: dict[str, Any] = json.loads(path.read_text())
        _adapter().validate_python(raw)
        return Cursor(**raw)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}). Delete it to file the run anew.") from error

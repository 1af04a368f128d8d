"""What the sweep and its jobs tell each other, as files in the sweep's folder, which both must see.

.jobs/cases.json          what each job runs; read by the jobs
.jobs/submitted.json      the batch system's number of each case's job, once it is known
.jobs/launcher.log        what the launcher itself said
.jobs/cancel              there: jobs end what they run, and begin nothing
.jobs/<n>/started.json    by which job a case was begun, and where
.jobs/<n>/beat            changes every `BEAT_S` for as long as the job is there
.jobs/<n>/placed.json     in which folder the case went
.jobs/<n>/ended.json      the status of the case's command, and how long it took
.jobs/<n>/case.log        what the command said
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FOLDER = ".jobs"
BEAT_S = 2.0
"""Between two signs of life of a job."""
VARIABLE = "TOUCHSTONE_JOB"
"""Environment variable of a case's command: its folder among these files, where it says which run folder it took."""


@dataclass(kw_only=True, slots=True)
class JobCase:
    """What the job of one case runs."""

    words: list[str]
    """What follows `python -m runner`."""
    spread: bool = False
    """Whether every task of the job runs the command: the case is one of several nodes, and its launcher sorts them."""
    turn: bool = False
    """Whether it waits for the other cases of its machine: they share what is measured."""


@dataclass(kw_only=True, slots=True)
class JobList:
    """All of a sweep's jobs."""

    directory: str
    """The sweep's working directory, from which relative paths on the command line go out."""
    environment: dict[str, str | None] = field(default_factory=dict)
    """Variables that launchers set, as the sweep has them; None: not set."""
    cases: dict[int, JobCase] = field(default_factory=dict)
    """By the case's place in the sweep."""

    def save(self, jobs: Path) -> None:
        """Write it for nobody else's eyes: a command may hold the password of an MLflow store."""
        path = jobs / "cases.json"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(self), file, indent=1)

    @classmethod
    def load(cls, jobs: Path) -> JobList:
        """Read what `save` wrote.

        Raises:
            OSError: it is not there; this machine may not see the sweep's folder.
        """
        raw = json.loads((jobs / "cases.json").read_text())
        cases = {int(number): JobCase(**one) for number, one in raw["cases"].items()}
        return cls(directory=raw["directory"], environment=raw["environment"], cases=cases)


@dataclass(kw_only=True, slots=True, frozen=True)
class TakenFolder:
    """Which run folder a case's command took."""

    folder: Path
    done: bool
    """Whether `resume=true` found it done there."""
    earlier: int | None
    """When `report.json` there was written, in nanoseconds, where an earlier run had left one."""


class CaseFiles:
    """The files of one case."""

    def __init__(self, jobs: Path, number: int) -> None:
        self.folder = jobs / str(number)

    @property
    def log(self) -> Path:
        """What the case's command said."""
        return self.folder / "case.log"

    def begin(self, told: dict[str, Any]) -> None:
        """A job has begun; what an earlier one of the same case left, as after a requeue, counts no more."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("ended", "placed"):
            (self.folder / f"{name}.json").unlink(missing_ok=True)
        _write(self.folder / "started.json", told)

    def beat(self, count: int) -> None:
        """A sign of life."""
        _write(self.folder / "beat", count)

    def end(self, exit_code: int, took_s: float) -> None:
        """The command has ended."""
        _write(self.folder / "ended.json", {"exit_code": exit_code, "took_s": took_s})

    @property
    def started(self) -> dict[str, Any] | None:
        """By which job it was begun; None before."""
        return _told(self.folder / "started.json")

    @property
    def ended(self) -> dict[str, Any] | None:
        """`exit_code` and `took_s`; None before."""
        return _told(self.folder / "ended.json")

    @property
    def beats(self) -> Any:
        """Something that changes for as long as the job is there."""
        return _read(self.folder / "beat")

    @property
    def placed(self) -> TakenFolder | None:
        """Where the case went; None before."""
        told = _told(self.folder / "placed.json")
        return TakenFolder(folder=Path(told["folder"]), done=told["done"], earlier=told["earlier"]) if told else None


def tell_place(folder: Path, done: bool) -> None:
    """Say where a case goes, where a sweep's job runs it; called by the case's own command."""
    where = os.environ.get(VARIABLE)
    if where:
        told = {"folder": str(folder.resolve()), "done": done, "earlier": written_at(folder)}
        _write(Path(where) / "placed.json", told)


def written_at(folder: Path) -> int | None:
    """When a folder's report was written, in nanoseconds of the file system's clock; None without one."""
    try:
        return (folder / "report.json").stat().st_mtime_ns
    except OSError:
        return None


def _write(path: Path, value: Any) -> None:
    """In one step, so that no reader sees half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(value))
    draft.replace(path)


def _told(path: Path) -> dict[str, Any] | None:
    told = _read(path)
    return told if isinstance(told, dict) else None


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None

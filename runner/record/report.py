"""`report.json`: what a run leaves behind for people and programs. Stable; a renamed figure raises SCHEMA_VERSION."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, NamedTuple

from runner.config.division import Division
from runner.record.migrate import migrated
from runner.record.shape import check_shape, plain_json

SCHEMA_VERSION = 4
CHANGED = "report.json was changed after it was written: its content has another hash"
NOT_COVERED = (
    *("report.json", "report.tmp", "checkpoints/*", "*parent.pid", "*tracking.json*", "*.lock"),
    *("agent.log", "slurm.log", "slurm.status", "ray.log"),
)
"""What the digests leave out, as patterns of names in the run folder: the report itself, what only a further part of
the run reads, and what the engine writes after the report to know whose the folder is and what was filed of it."""


@dataclass(kw_only=True, slots=True)
class Figure:
    """One number with its unit; a value that was not measured is null and has a reason."""

    value: float | None
    unit: str
    reason: str | None = None
    interval: tuple[float, float] | None = None
    """95 % confidence interval over fresh processes (`measure.repeats`); null for a single run."""
    repeats: tuple[float, ...] | None = None
    """What each fresh process measured, in their order; null for a single run."""

    def __post_init__(self) -> None:
        assert (self.value is None) == (self.reason is not None), "null needs a reason, a value must have none"


@dataclass(kw_only=True, slots=True)
class Publication:
    """Whether the run may be published, and from what that follows."""

    asked: dict[str, Any]
    """What the case asks of a measurement."""
    parts: list[dict[str, Any]]
    """Of each fresh process, the conditions it was measured under; null is what nobody knows."""
    by_run: bool
    """Whether the run itself made the report; false where a killed one's was made afterwards."""
    rules: list[dict[str, Any]] = field(default_factory=list)
    """`{"rule", "asks", "outcome", "text"}` of every rule."""


@dataclass(kw_only=True, slots=True)
class Report:
    """The result of one case."""

    status: Literal["done", "failed", "killed"]
    exit_code: int
    error: dict[str, str] | None
    """`{"class", "message"}`."""
    case: dict[str, Any]
    """What was run, in short: the choice of every group, chip, devices, batch, … and the case's `identity`."""
    figures: dict[str, Figure]
    precision: dict[str, Any]
    """What the worker's probe found."""
    division: Division
    environment: dict[str, Any]
    warnings: list[str]
    published: list[dict[str, Any]] = field(default_factory=list)
    """What others published for this model, for orientation."""
    publication: Publication | None = None
    """Null in reports that were written before there was it."""
    points: list[dict[str, Any]] = field(default_factory=list)
    """Rows of plain values that the task measured beside its figures: other batch sizes, other lengths."""
    imported: dict[str, str] = field(default_factory=dict)
    """Of a result that another tool measured: its `format`, `version`, `file` and the file's `sha256`; else empty."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the run folder's other files, by their names in it; known when the report was saved beside them."""
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries with the content's hash, as `report.json` holds them.

        What is empty of `files`, `publication`, `points` and `imported` is left out, as in reports that were written
        before there was it.
        """
        content: dict[str, Any] = json.loads(json.dumps(_fields(self), default=_fields))
        for name in ("files", "publication", "points", "imported"):
            if not content[name]:
                del content[name]
        return content | {"hash": content_hash(content)}

    def save(self, path: Path) -> None:
        """Write `report.json` in one step, so that no reader sees half of it; its hash covers `files` beside it."""
        self.files = digests(path.parent)
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")
        draft.replace(path)


def _fields(one: Any) -> dict[str, Any]:
    """A dataclass's fields, not copied: `asdict` copies everything, which shows with thousands of reports."""
    return {part.name: getattr(one, part.name) for part in fields(one)}


def digests(run_folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a run folder, those of its repeats included, by their names in the folder."""
    found = {path.relative_to(run_folder).as_posix(): path for path in run_folder.rglob("*") if path.is_file()}
    return {name: file_digest(found[name]) for name in sorted(found) if not left_out(name)}


def left_out(name: str) -> bool:
    """Whether the digests leave a file out, by its name in the run folder, or in its repeat's."""
    inside = name.split("/", 2)[2] if name.startswith("repeats/") and name.count("/") > 1 else name
    repeated = inside != name
    return any(fnmatch(inside, pattern) for pattern in NOT_COVERED) and not (repeated and inside == "report.json")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(content: dict[str, Any]) -> str:
    """SHA-256 over a report without its own hash."""
    bare = {key: value for key, value in content.items() if key != "hash"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()


def load_report(path: Path) -> Report:
    """Read `report.json`.

    Raises:
        ValueError: not a report, or of a schema this version does not know.
    """
    return parse_report(path).report


class Parsed(NamedTuple):
    """A report as it was read."""

    report: Report
    digest: str
    """The hash that its content has."""
    intact: bool
    """Whether that is the hash it states."""


def parse_report(path: Path) -> Parsed:
    """Read `report.json` and look at its hash.

    Raises:
        ValueError: not a report, or of a schema this version does not know.
    """
    return parse_text(path.read_text(), str(path))


def parse_text(text: str, where: str) -> Parsed:
    """Read a report's JSON and look at its hash.

    Args:
        text: the JSON.
        where: where it comes from, for errors.

    Raises:
        ValueError: not a report, or of a schema this version does not know.
    """
    try:
        raw = plain_json(text)
        stated = raw["schema_version"]
        if stated not in range(1, SCHEMA_VERSION + 1):
            known = f"this version reads up to {SCHEMA_VERSION}"
            raise ValueError(f"{where} has schema {stated}, {known}: a newer Touchstone wrote it, which reads it")
        digest = content_hash(raw)
        intact = digest == raw.pop("hash")
        raw = migrated(raw, SCHEMA_VERSION)
        check_shape(raw)
        raw["figures"] = {name: Figure(**figure) for name, figure in raw["figures"].items()}
        raw["division"] = Division(**raw["division"])
        if raw.get("publication") is not None:
            raw["publication"] = Publication(**raw["publication"])
        return Parsed(Report(**raw), digest, intact)
    except (KeyError, TypeError, AttributeError, AssertionError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"{where} is not a report: {error}") from error

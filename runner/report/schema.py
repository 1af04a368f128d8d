"""`report.json`: what a run leaves behind for people and programs. Stable; a renamed figure raises SCHEMA_VERSION."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

SCHEMA_VERSION = 1
OWN_FILES = ("run.yaml", "*.csv", "*.csv.meters.json")
COVERED = (*OWN_FILES, *(f"repeats/*/{pattern}" for pattern in (*OWN_FILES, "report.json")))
"""What the digests cover, as glob patterns. `environment` is in the report itself; events are what it is built from."""


@dataclass(kw_only=True, slots=True)
class Figure:
    """One number with its unit; a value that was not measured is null and has a reason."""

    value: float | None
    unit: str
    reason: str | None = None
    interval: tuple[float, float] | None = None
    """95 % confidence interval over fresh processes (`measure.repeats`); null for a single run."""

    def __post_init__(self) -> None:
        assert (self.value is None) == (self.reason is not None), "null needs a reason, a value must have none"


@dataclass(kw_only=True, slots=True)
class Division:
    """Whether a vendor changed only what it may change, and what was changed."""

    name: Literal["closed", "open"]
    changed: list[dict[str, Any]] = field(default_factory=list)
    """`{"key", "reference", "value", "allowed"}` for every value that differs from the reference composition."""


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
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the run folder's other files, by their names in it; known when the report was saved beside them."""
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries with the content's hash, as `report.json` holds them.

        Without digests there is no `files`, as in reports that were written before there were any.
        """
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        if not content["files"]:
            del content["files"]
        return content | {"hash": content_hash(content)}

    def save(self, path: Path) -> None:
        """Write `report.json` in one step, so that no reader sees half of it; its hash covers `files` beside it."""
        self.files = digests(path.parent)
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")
        draft.replace(path)


def digests(run_folder: Path) -> dict[str, str]:
    """SHA-256 of the files a report stands on, those of its repeats included, by their names in the folder."""
    found = sorted({path for pattern in COVERED for path in run_folder.glob(pattern) if path.is_file()})
    return {path.relative_to(run_folder).as_posix(): file_digest(path) for path in found}


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
    try:
        raw = json.loads(path.read_text())
        raw.pop("hash")
        if raw["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"{path} has schema {raw['schema_version']}, this version reads {SCHEMA_VERSION}")
        raw["figures"] = {name: Figure(**figure) for name, figure in raw["figures"].items()}
        raw["division"] = Division(**raw["division"])
        return Report(**raw)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a report: {error}") from error

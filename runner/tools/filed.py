"""Which runs need not be filed any more, by what stands in their folders: without MLflow, and in bulk.

What is known of a folder comes from the index beside the results. A local store is asked once which runs it holds; of a
server, what was noted in the folder when it was filed is believed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from runner.core.errors import ConfigurationError
from runner.record.reading import reading
from runner.results.index.contents import Content, ContentKind, maker_of
from runner.results.index.identities import CASE_FILE, case_kind
from runner.results.index.reading import Facts, Progress, Root, facts_of, read_all, report_kind
from runner.tracking import local, store
from runner.tracking.cursor import FILE, load_cursor
from runner.tracking.local import StoreUnusableError
from runner.tracking.sweep import worst

Outcome = Literal["uploaded", "already there", "skipped", "bad folder", "not filed"]
Settled = tuple[Outcome, str]


@dataclass(kw_only=True)
class Filed:
    """What is known of run folders before any is opened."""

    roots: Sequence[Root]
    uri: str | None
    """Another store than the one the runs name."""
    progress: Progress | None = None
    _holds: dict[str, frozenset[str] | None] = field(default_factory=dict)
    """The runs of each local store; None for a server's."""
    _stores: dict[tuple[Path, str], str | None] = field(default_factory=dict)

    @cached_property
    def _cursors(self) -> dict[Path, Any]:
        kind = ContentKind(
            name=FILE, read=_read_cursor, maker=maker_of("runner/tracking/cursor.py", "runner/tools/filed.py")
        )
        return _decoded(read_all(self.roots, kind, self.progress))

    @cached_property
    def _facts(self) -> dict[Path, Facts]:
        kind = report_kind()
        there = read_all(self.roots, replace(kind, read=lambda folder: _read_existing(folder, kind)), self.progress)
        return {folder: facts_of(content) for folder, content in there.items() if isinstance(content, str)}

    @cached_property
    def _cases(self) -> dict[Path, Any]:
        return _decoded(read_all(self.roots, case_kind(), self.progress))

    def of(self, folders: Sequence[Path]) -> tuple[dict[Path, Settled], set[Path]]:
        """What is to be said of the folders that nothing must be done about, and the sweeps of which that is so too."""
        settled = {folder: found for folder in folders if (found := self._settled(folder)) is not None}
        cases: dict[Path, list[Path]] = {}
        for folder in folders:
            cases.setdefault(folder.parent, []).append(folder)
        return settled, {
            folder for folder, own in cases.items() if settled.keys() >= set(own) and self._closed(folder, own)
        }

    def _settled(self, folder: Path) -> Settled | None:
        facts = self._facts.get(folder)
        if facts is None or not facts.intact:
            return None
        if facts.identity is None:
            return "skipped", "a value of its case was not valid: there is nothing to file"
        cursor, shown = self._cursors.get(folder), self._store_of(folder)
        if not cursor or not cursor["finished"] or shown is None:
            return None
        if cursor["uri"] != shown:
            return None if self.uri else ("already there", f"at {cursor['uri']}")
        return ("already there", "") if cursor["report_hash"] in facts.digests and self._held(cursor) else None

    def _closed(self, folder: Path, cases: Sequence[Path]) -> bool:
        """Whether a folder that run folders lie in is no sweep's, or is a sweep's that has its status in its store."""
        try:
            if not (folder / FILE).exists():
                return True
            cursor = load_cursor(folder) if (folder / FILE).is_file() else None
            others = {path.parent.name for path in folder.glob(f"*/{CASE_FILE}")} - {case.name for case in cases}
        except (OSError, ValueError):
            return False
        stores = (self._store_of(case) for case in sorted(cases))
        statuses = {self._facts[case].status if case in self._facts else "killed" for case in cases}
        return (
            cursor is not None
            and cursor.finished
            and not others
            and cursor.status == worst(statuses)
            and cursor.uri == next((store for store in stores if store is not None), None)
        )

    def _held(self, cursor: Mapping[str, Any]) -> bool:
        """Whether the store that a cursor names holds its run; a server is not asked."""
        address = cursor["uri"]
        if address not in self._holds:
            self._holds[address] = _runs_in(address)
        held = self._holds[address]
        return held is None or cursor["run_id"] in held

    def _store_of(self, folder: Path) -> str | None:
        """Where a run is to be filed, as it is shown; None where its case cannot be read."""
        case = self._cases.get(folder)
        if not case or "problem" in case:
            return None
        named = self.uri or case["uri"]
        if named or folder.is_symlink():
            return store.public_uri(named) if named else _local_store(folder, case["root"])
        key = folder.parent, case["root"]
        if key not in self._stores:  # the same for all that lie in one folder
            self._stores[key] = _local_store(folder, case["root"])
        return self._stores[key]


def _local_store(folder: Path, root: str) -> str | None:
    try:
        return local.address(store.root_above(folder, root) / "mlflow.db")
    except StoreUnusableError:
        return None


def _runs_in(address: str) -> frozenset[str] | None:
    """The runs of a local store, those in its trash included, none where it cannot be read; None for a server's."""
    try:
        path = local.path_of(address)
        if path is None:
            return None
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as opened:
            return frozenset(run for (run,) in opened.execute("select run_uuid from runs"))
    except (OSError, ValueError, sqlite3.Error):
        return frozenset()


def _read_cursor(folder: Path) -> str:
    with reading(folder):
        cursor = load_cursor(folder)
        wanted = ("finished", "uri", "report_hash", "run_id")
        return json.dumps(None if cursor is None else {name: getattr(cursor, name) for name in wanted})


def _read_existing(folder: Path, kind: ContentKind) -> str:
    """Reads a report, and makes none: that of a killed run is made when it is filed."""
    if not (folder / kind.name).exists():
        raise ConfigurationError(f"{folder} has no report.")
    return kind.read(folder)


def _decoded(contents: Mapping[Path, Content]) -> dict[Path, Any]:
    return {folder: json.loads(content) for folder, content in contents.items() if isinstance(content, str)}

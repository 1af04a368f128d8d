"""What a file of each of many run folders says, read once and then only where the file is another.

A file is taken for unchanged while its size, its times of change (of the content and of the inode, in nanoseconds) and
its inode are the same. A copy over it, an edit by hand, an edit whose time was set back: all are seen. Within two
seconds of its last change a file is read again all the same, and compared by its bytes: the clocks of some file systems
are that coarse. Not seen is what changes none of these: bytes written past the file system, or a change on another
machine that a network file system does not tell of yet, for the seconds that it keeps what it knows of a file.
"""

from __future__ import annotations

import hashlib
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from runner.core.errors import TouchstoneError
from runner.core.own import ROOT
from runner.record.report import file_digest
from runner.results.index.file import IndexFile, IndexRow

COARSE_NS = 2 * 10**9
"""The coarsest times of change there are: FAT's, in nanoseconds."""
BATCH = 500
"""Rows that are written at a time, so that a first reading that is broken off is not done anew."""

Content = str | TouchstoneError
"""What a file says, as JSON; or why it cannot be read."""


@dataclass(kw_only=True, slots=True, frozen=True)
class ContentKind:
    """A file that run folders have, and what is wanted of it."""

    name: str
    read: Callable[[Path], str]
    """Reads that of a folder, as JSON; raises a TouchstoneError where that is not possible."""
    maker: str
    """The code that reads it: what other code read does not count."""
    shared: bool = False
    """Whether equal files say the same in every folder."""


class Contents:
    """The files of one kind in run folders below a root."""

    def __init__(self, root: Path, folders: Sequence[Path], kind: ContentKind, *, whole: bool) -> None:
        """Look which files are as they were.

        Args:
            root: where the index lies.
            folders: run folders below it.
            kind: what is read of each.
            whole: whether these are all there are: what is known of others is forgotten.
        """
        self._kind, self._index = kind, IndexFile(root)
        self._rows = self._index.rows(kind.name)
        self._folders = {folder: self._index.key(folder) for folder in folders}
        self._stale = [folder for folder, key in self._folders.items() if not self._is_current(folder, key)]
        if whole:
            self._index.drop(kind.name, self._rows.keys() - self._folders.values())

    @property
    def stale(self) -> int:
        """How many must be read."""
        return len(self._stale)

    def read(self, tick: Callable[[], None] = lambda: None) -> dict[Path, Content]:
        """What each says; `tick` is called after each that had to be read."""
        said: dict[Path, Content] = {}
        fresh: dict[bytes, IndexRow] = {}
        known = {row.digest: row.value for row in self._rows.values() if row.maker == self._kind.maker}
        try:
            for folder in self._stale:
                said[folder], row = self._read(folder, known)
                if row is not None:
                    fresh[self._folders[folder]] = row
                    known[row.digest] = row.value
                if len(fresh) >= BATCH:
                    self._index.keep(self._kind.name, fresh)
                    fresh = {}
                tick()
        finally:
            self._index.keep(self._kind.name, fresh)
        return {
            folder: said[folder] if folder in said else self._rows[key].value for folder, key in self._folders.items()
        }

    def _is_current(self, folder: Path, key: bytes) -> bool:
        row = self._rows.get(key)
        if row is None or row.maker != self._kind.maker:
            return False
        found = _stamp(folder / self._kind.name)
        return found is not None and found[0] == row.stamp and found[1] + COARSE_NS < row.read_ns

    def _read(self, folder: Path, known: dict[str, str]) -> tuple[Content, IndexRow | None]:
        path, now_ns = folder / self._kind.name, time.time_ns()
        before = _stamp(path)
        digest = None if before is None else _digest(path)
        row = self._rows.get(self._folders[folder])
        if row is not None and row.digest == digest and row.maker == self._kind.maker:
            value = row.value
        elif self._kind.shared and digest in known:
            value = known[digest]
        else:
            try:
                value = self._kind.read(folder)
            except TouchstoneError as error:
                return error, None
        if before is None or digest is None or _stamp(path) != before:
            return value, None
        return value, IndexRow(before[0], now_ns, digest, self._kind.maker, value)


def _stamp(path: Path) -> tuple[str, int] | None:
    """What tells a file from itself after a change, and when it was changed last, as Unix time in nanoseconds."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    text = f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}"
    return text, max(found.st_mtime_ns, found.st_ctime_ns)


def _digest(path: Path) -> str | None:
    try:
        return file_digest(path)
    except OSError:
        return None


@cache
def maker_of(*places: str) -> str:
    """SHA-256 over sources of the engine: what they read may differ from what others read.

    Args:
        places: files, and folders with all that is below, as seen from the engine's root.
    """
    digest = hashlib.sha256()
    for place in places:
        path = ROOT / place
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{place}\0{source.relative_to(path)}\0{file_digest(source)}\0".encode())
    return digest.hexdigest()

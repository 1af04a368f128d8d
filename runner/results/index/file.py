"""The file in which an index is kept, an SQLite database beside the results. Whatever is wrong with it is no error.

It can be deleted at any time. One that is damaged, or of another form, is made anew; one that cannot be read or written
is done without.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote

T = TypeVar("T")

NAME = ".touchstone-index"
ENDING = ".sqlite"
FORM = 1
"""Of the table; one of another form is made anew."""
LEAST = 50
"""Rows for which a new file is made: fewer are read as fast without one."""
WAIT_S = 2.0
"""How long another process is waited for that writes."""
_TABLE = (
    "create table if not exists files (folder blob, name text, stamp text, read_ns integer, digest text, maker text, "
    "value text, checksum integer, primary key (folder, name)) without rowid"
)
_PASSING = frozenset(
    (
        *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM),
        *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL),
        *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_AUTH),
    )
)
"""What says nothing about the file's content."""


class IndexRow(NamedTuple):
    """What was read from a file, and from which state of it."""

    stamp: str
    """The file's size, times and inode before it was read."""
    read_ns: int
    """Unix time at which it was read, in nanoseconds."""
    digest: str
    """SHA-256 of its bytes."""
    maker: str
    """The code that read it."""
    value: str
    """What it says, as JSON."""

    def checksum(self, folder: bytes, name: str) -> int:
        """SQLite does not notice a changed byte."""
        text = "\0".join((name, self.stamp, str(self.read_ns), self.digest, self.maker, self.value))
        return zlib.crc32(text.encode(), zlib.crc32(folder))


class IndexFile:
    """The index of the results below a root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = len(os.fsencode(root / "_")) - 1

    def key(self, folder: Path) -> bytes:
        """A folder below the root, as seen from there."""
        return os.fsencode(folder)[self._prefix :]

    @property
    def path(self) -> Path | None:
        """Where it lies; None where what lies there was made by somebody who is not believed.

        Whoever finds another user's has one of their own. That of the root's owner is read where nothing can be
        written.
        """
        me = os.geteuid()
        first, own = self.root / f"{NAME}{ENDING}", self.root / f"{NAME}.{me}{ENDING}"
        if _made_by(first, me) or (not os.access(self.root, os.W_OK) and _made_by(first, _owner(self.root))):
            return first
        return own if _made_by(own, me) else None

    def rows(self, name: str) -> dict[bytes, IndexRow]:
        """Everything that was read from files of a name, by their folders."""
        rows = {}
        for found in self._tried(lambda: self._select(name)) or []:
            folder, row = found[0], IndexRow._make(found[1:-1])
            if row.checksum(folder, name) == found[-1]:
                rows[folder] = row
        return rows

    def keep(self, name: str, rows: Mapping[bytes, IndexRow]) -> None:
        """Write rows down, in the place of those of the same folders."""
        path = self.path
        if path is None or not rows or (len(rows) < LEAST and not path.exists()):
            return
        values = [(folder, name, *row, row.checksum(folder, name)) for folder, row in rows.items()]
        statement = "insert or replace into files values (?, ?, ?, ?, ?, ?, ?, ?)"
        # Where the first attempt finds it damaged, the second makes it anew.
        _ = self._tried(lambda: self._write(statement, values)) or self._tried(lambda: self._write(statement, values))

    def drop(self, name: str, folders: Iterable[bytes]) -> None:
        """Forget rows."""
        values = [(folder, name) for folder in folders]
        if values:
            self._tried(lambda: self._write("delete from files where folder = ? and name = ?", values))

    def _tried(self, action: Callable[[], T]) -> T | None:
        """What an action gives; None where it failed. A file that is damaged, or of another form, is removed."""
        try:
            return action()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _PASSING:
                self._remove()
        except _OtherFormError:
            self._remove()
        except (OSError, TypeError, ValueError):
            pass
        return None

    def _remove(self) -> None:
        path = self.path
        if path is not None:
            for one in (path.with_name(f"{path.name}-journal"), path):  # an old journal must not meet a new file
                with suppress(OSError):
                    one.unlink(missing_ok=True)

    def _select(self, name: str) -> list[tuple[bytes, str, int, str, str, str, int]]:
        path = self.path
        if path is None or not path.exists():
            return []
        with closing(_connect(path, "rw")) as store:
            _require_form(store)
            query = "select folder, stamp, read_ns, digest, maker, value, checksum from files where name = ?"
            return store.execute(query, (name,)).fetchall()

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> bool:
        path = self.path
        if path is None:
            return True
        with closing(_connect(path, "rwc")) as store:
            store.execute("begin immediate")
            if store.execute("select count(*) from sqlite_master").fetchone() == (0,):
                store.execute(_TABLE)
                store.execute(f"pragma user_version = {FORM}")
            _require_form(store)
            store.executemany(statement, rows)
            store.execute("commit")
        return True


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=WAIT_S, isolation_level=None)


class _OtherFormError(Exception):
    pass


def _require_form(store: sqlite3.Connection) -> None:
    if store.execute("pragma user_version").fetchone() != (FORM,):
        raise _OtherFormError


def _made_by(path: Path, user: int | None) -> bool:
    """Whether a file is this user's own, or is not there yet; a link is nobody's."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == user


def _owner(folder: Path) -> int | None:
    try:
        return folder.stat().st_uid
    except OSError:
        return None

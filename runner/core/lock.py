"""The lock of a folder: held for as long as what it is about goes on.

The kernel lets go of it when its holder ends, however that happens, a process that nobody has collected yet included.
So neither process numbers, which are used again, nor the clock, which is set, decide who owns a folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

LOCK = "run.lock"
ASKING_S = 1.0
"""How long a lock is tried for, in seconds: whoever asks after its owner holds it for a moment."""
_TRY_S = 0.02
_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)

_held: dict[Path, int] = {}
"""Open lock files of this process, by folder: a lock lasts as long as its file is open."""


class OwnedError(Exception):
    """Another process looks after the folder."""


def take(folder: Path) -> None:
    """Make this process the folder's owner until `let_go`, or until it ends.

    Raises:
        OwnedError: the folder has an owner.
        OSError: the lock file cannot be made.
    """
    if held_here(folder):
        raise OwnedError(str(folder))
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        taken = _try(file, fcntl.LOCK_EX)
    except OSError:
        os.close(file)
        raise
    if not taken:
        os.close(file)
        raise OwnedError(str(folder))
    _held[folder.resolve()] = file


def let_go(folder: Path) -> None:
    """End this process's ownership; nothing happens where it has none."""
    file = _held.pop(folder.resolve(), None)
    if file is not None:
        with contextlib.suppress(OSError):  # a network file system may only now say that it lost the file
            os.close(file)


def held_here(folder: Path) -> bool:
    """Whether this process owns the folder."""
    return folder.resolve() in _held


def wait_until_gone(folder: Path) -> None:
    """Return when the folder has no owner any more; at once where it has none, never where locks are not known."""
    with contextlib.suppress(FileNotFoundError):
        file = os.open(folder / LOCK, os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
        finally:
            os.close(file)


def is_locked(folder: Path) -> bool:
    """Whether a process, this one included, owns the folder."""
    if held_here(folder):
        return True
    try:
        file = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared: those who ask at the same time do not take each other for the owner.
        return not _try(file, fcntl.LOCK_SH, patience_s=0.0)
    finally:
        os.close(file)


def _try(file: int, kind: int, *, patience_s: float = ASKING_S) -> bool:
    """Lock an open file; false where another process keeps it."""
    end_s = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _BUSY:
                raise
            if time.monotonic() >= end_s:
                return False
            time.sleep(_TRY_S)
        else:
            return True

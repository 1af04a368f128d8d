"""A disk that is full, or gone, while a run goes on: said in a sentence, with room kept for the result."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from runner.core.errors import ConfigurationError, StorageError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
RESERVE = "reserve"
"""File in a run folder that holds the room its report will need; it is gone before the report is written."""
RESERVED_BYTES = 1 << 20
LEAST_BYTES = 64 * 1024
"""A disk with less room than this is taken for full."""
CANNOT_WRITE = 74
"""Status of a worker that could not even write why it ended (sysexits.h: EX_IOERR)."""
_FLUSH_FAILED = 120
"""Python's own, when what it printed could not be written at its end."""


def reserve(folder: Path) -> None:
    """Set room aside for the result.

    Raises:
        OSError: there is not even that much.
    """
    # Random bytes: a file system that compresses, or leaves holes, would keep no room for zeros.
    (folder / RESERVE).write_bytes(os.urandom(RESERVED_BYTES))


def free_reserve(folder: Path) -> None:
    """Give the room back, for the result to be written into it."""
    with contextlib.suppress(OSError):
        (folder / RESERVE).unlink(missing_ok=True)


def check_working_directory() -> None:
    """Refuse to work in a folder that was deleted: relative paths lead nowhere there.

    Raises:
        ConfigurationError: it was.
    """
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise ConfigurationError("The working directory was deleted. Change to a folder that is there.") from error


def is_full(folder: Path) -> bool:
    """Whether nothing more can be written where a folder lies."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < LEAST_BYTES


def could_not_write(status: int | None, folder: Path) -> bool:
    """Whether a worker that ended with this status, and without a word, did so because nothing can be written."""
    return status in (CANNOT_WRITE, _FLUSH_FAILED) or (status != 0 and is_full(folder))


def full(place: object) -> StorageError:
    """What is said of a full disk."""
    return StorageError(
        f"The disk that holds {place} is full. What was measured and written so far is kept. "
        "Free space there, or choose another place with run.root=FOLDER."
    )


def storage_error(error: OSError, folder: Path) -> StorageError:
    """The cause behind a system call that failed while a run in `folder` was looked after."""
    if not folder.is_dir():
        return StorageError(
            f"The run folder {folder} is no longer there: it was removed or moved, or its disk went away, while the "
            "run went on. What was measured is lost. Run the case again and leave its folder alone until it has ended."
        )
    place = error.filename if isinstance(error.filename, str) else folder
    if error.errno in FULL:
        return full(place)
    return StorageError(
        f"The run could not go on, because of {place}: {error.strerror or error}. "
        "Mend that, or choose another place with run.root=FOLDER."
    )


def write_all(file: int, data: bytes) -> None:
    """Write every byte: one call may write fewer than it was given, on a disk that is almost full.

    Raises:
        OSError: not all of them could be written.
    """
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def is_cut(file: int) -> bool:
    """Whether an open file ends in the middle of a line."""
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"

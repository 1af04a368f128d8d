"""Where prepared data is kept between runs to save time: a cache that cannot be used never ends a run."""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path


def home_folder(written: str) -> Path:
    """A folder as the user wrote it, `~` resolved; this user's temporary one where nothing says what `~` is."""
    try:
        return Path(written).expanduser()
    except RuntimeError:
        return temporary_folder()


def temporary_folder() -> Path:
    """This user's folder beside the system's temporary files; one for this process alone where another holds its name.

    Raises:
        OSError: not even temporary files can be written.
    """
    owner = os.getuid()
    folder = Path(tempfile.gettempdir()) / f"touchstone-{owner}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        # Anybody may make that folder first, and what is read from it is trusted.
        if stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not found.st_mode & 0o077:
            return folder
    except OSError:
        pass
    alone = Path(tempfile.mkdtemp(prefix="touchstone-"))
    atexit.register(shutil.rmtree, alone, ignore_errors=True)
    return alone


def prepared(folder: Path, prepare: Callable[[Path], None]) -> Path:
    """`folder`, filled by `prepare` first where it is missing.

    Several ranks may ask at once: each prepares its own draft, the first to finish puts it in place, all read that one.

    Raises:
        OSError: it cannot be written.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}_"))
        try:
            prepare(draft)
            _put_in_place(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


def _put_in_place(draft: Path, folder: Path) -> None:
    try:
        draft.rename(folder)
    except OSError:
        if not folder.exists():  # otherwise another rank was first, and its files serve as well
            raise

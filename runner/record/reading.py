"""The one way into a run folder: whatever is wrong with it becomes one error, so that the other folders go on."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.core.errors import ConfigurationError, TouchstoneError

LONGEST = 300
"""Characters of a cause that are shown; pydantic and YAML tell theirs over many lines."""


class UnreadableFolderError(ConfigurationError):
    """A run folder that was damaged, or was written by something else."""

    def __init__(self, folder: Path, cause: str) -> None:
        super().__init__(
            f"{folder}: this folder cannot be read: {cause.rstrip('.')}. Put it right from a copy, or move it away; "
            f"what is wrong beside this is said by: python -m runner.verify {shlex.quote(str(folder))}"
        )
        self.cause = cause


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Everything that looks into a run folder stands in this block.

    A damaged file can fail in the decoder, in YAML, in a comparison of text with numbers or in recursion; each is the
    same to whoever asked.

    Raises:
        UnreadableFolderError: whatever went wrong, but for failures that have a sentence of their own.
    """
    try:
        _require_no_pipe(folder)
        yield
    except TouchstoneError:
        raise
    except Exception as error:
        raise UnreadableFolderError(folder, cause_of(error)) from error


def _require_no_pipe(folder: str | Path) -> None:
    """Refuse what is neither file nor folder: whoever opens a pipe waits for somebody to write into it.

    Raises:
        ValueError: names it.
    """
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return  # whoever reads it says so
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            _require_no_pipe(entry.path)
        elif not entry.is_file() and not entry.is_dir() and Path(entry.path).exists():
            raise ValueError(f"{entry.path} is neither a file nor a folder")


def cause_of(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())[:LONGEST]
    known = isinstance(error, OSError | ValueError) and text
    return text if known else f"{type(error).__name__}: {text}".rstrip(": ")

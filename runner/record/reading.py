"""The one way into a run folder: whatever is wrong with it becomes one error, so that the other folders go on."""

from __future__ import annotations

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
        yield
    except TouchstoneError:
        raise
    except Exception as error:
        raise UnreadableFolderError(folder, cause_of(error)) from error


def cause_of(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())[:LONGEST]
    known = isinstance(error, OSError | ValueError) and text
    return text if known else f"{type(error).__name__}: {text}".rstrip(": ")

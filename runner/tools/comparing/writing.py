"""Where `runner.compare` writes to; nothing is overwritten that was not asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from runner.core.errors import ConfigurationError
from runner.views.comparison.junit import ROOT
from runner.views.page import Page, screen, to_markdown, to_rich, to_text

FORMATS = ("text", "markdown", "csv", "json")
_BY_ENDING = {".txt": "text", ".md": "markdown", ".markdown": "markdown", ".csv": "csv", ".json": "json"}
_WIDEST = 160
"""Columns that a table may take on a wide terminal."""


def form_of(asked: str | None, out: Path | None) -> str:
    """The format that was asked for, else the one that the file's ending stands for.

    Raises:
        ConfigurationError: the ending stands for none.
    """
    if asked is not None or out is None:
        return asked or "text"
    found = _BY_ENDING.get(out.suffix.lower())
    if found is None:
        raise ConfigurationError(
            f"--out {out}: its ending stands for no format. The known endings are {', '.join(_BY_ENDING)}; or say "
            f"which one with --format {'|'.join(FORMATS)}."
        )
    return found


def require_free(out: Path | None, *, overwrite: bool) -> None:
    """Refuse a file that is there already, before anything is worked out.

    Raises:
        ConfigurationError: it is, and nobody asked to overwrite it.
    """
    if out is not None and out.exists() and not overwrite:
        raise ConfigurationError(f"--out {out}: there is such a file. Choose another name, or add --overwrite.")


def show(pages: Sequence[Page], form: str, out: Path | None) -> None:
    """Pages on the screen, or as text or Markdown in a file."""
    if form == "markdown":
        put("\n".join(to_markdown(page) for page in pages), out)
    elif out is not None:
        put("\n".join(to_text(page, width=_WIDEST) for page in pages), out)
    else:
        terminal = screen()
        for index, page in enumerate(pages):
            terminal.print(*([""] if index else []), to_rich(page, width=min(terminal.width, _WIDEST)), sep="\n")


def put(text: str, out: Path | None) -> None:
    """Text on standard output, or in a file.

    Raises:
        ConfigurationError: it cannot be written.
    """
    if out is None:
        screen(sys.stdout).out(text, end="", highlight=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}.") from error


def put_junit(text: str, path: Path) -> None:
    """JUnit XML; an earlier one of a gate's is replaced, anything else is not.

    Raises:
        ConfigurationError: there is another file, or it cannot be written.
    """
    try:
        if path.exists() and path.stat().st_size and ROOT not in path.read_text(errors="replace")[:400]:
            raise ConfigurationError(f"--junit {path}: there is a file that no gate wrote. Choose another name.")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
    put(text, path)


def add_summary(text: str, path: Path) -> None:
    """Markdown at the end of a file, as pages of CI servers are put together (`GITHUB_STEP_SUMMARY`).

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error

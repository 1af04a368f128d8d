"""Reading files of a data set: whatever a decoder makes of a damaged one becomes a `DataError` that names the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.datasets.base import DataError

LONGEST = 200
"""Characters of a decoder's own words that are passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What one data set says of its files when something is wrong with them."""

    expected: str
    """The right layout."""
    source: str = ""
    """Where the data set is to be had."""

    def error(self, problem: str, where: Path | str) -> DataError:
        """The error to raise for a file, folder or line."""
        return DataError(problem, where=where, expected=self.expected, source=self.source)

    @contextmanager
    def reading(self, where: Path | str, problem: str = "Cannot be read") -> Iterator[None]:
        """Turn whatever is raised inside into an error that names `where`.

        Decoders raise nearly anything for damaged files: OSError, ValueError, SyntaxError, struct.error, zlib.error,
        EOFError, RuntimeError, KeyError, RecursionError. A lack of memory or of a package is not the file's fault.

        Raises:
            DataError: the block failed.
            MemoryError: there was not enough memory for the file.
        """
        try:
            yield
        except (DataError, ImportError):
            raise
        except MemoryError as error:
            raise MemoryError(f"not enough to read {where} ({_said(error)})") from error
        except FileNotFoundError as error:
            raise self.error(f"{problem} (no such file)", where) from error
        except Exception as error:
            raise self.error(f"{problem} ({_said(error)})", where) from error

    def only(self, folder: Path, suffix: str, *, containing: str = "") -> Path:
        """The one file in `folder` that ends so, with `containing` in its name; hidden files do not count."""
        with self.reading(folder):
            paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        found = [path for path in paths if path.name.endswith(suffix) and containing in path.name]
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            kind = f"{suffix} file with {containing} in its name" if containing else f"{suffix} file"
            raise self.error(f"Need exactly one {kind}, found {names}", folder)
        return found[0]

    def text(self, path: Path, problem: str = "Cannot read") -> str:
        """A file of UTF-8, with or without a byte-order mark, which editors and spreadsheets put before it."""
        with self.reading(path, problem):
            return path.read_text(encoding="utf-8-sig")

    def json(self, path: Path, problem: str = "Not JSON") -> Any:
        """The content of a JSON file, with or without a byte-order mark."""
        content = self.text(path)
        with self.reading(path, problem):
            return json.loads(content)

    def tokenizer(self, path: Path) -> Any:
        """A `tokenizers.Tokenizer` from its `tokenizer.json`."""
        from tokenizers import Tokenizer

        content = self.text(path)
        with self.reading(path, "Not a tokenizer"):
            return Tokenizer.from_str(content)

    def image(self, path: Path | str, problem: str = "Image cannot be read") -> Any:
        """An image's pixels as a `PIL.Image.Image` in RGB."""
        from PIL import Image

        with self.reading(path, problem), Image.open(path) as image:
            return image.convert("RGB")


def _said(error: BaseException) -> str:
    """An error's kind and the first line of its words; a system error's own words, without its path."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error).strip()
    first = text.splitlines()[0] if text else ""
    return f"{type(error).__name__}: {first[:LONGEST]}" if first else type(error).__name__

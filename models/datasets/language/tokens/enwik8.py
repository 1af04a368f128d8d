"""The first 100 million bytes of a Wikipedia dump, byte by byte (Mahoney 2006)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.datasets.language.tokens.token_stream import TokenFile
from models.datasets.reading import Reader

FILE = "enwik8"
PARTS = {"train": 90_000_000, "valid": 5_000_000, "test": 5_000_000}
"""Bytes of each part, in their order; the customary division."""
LAYOUT = f"<root>/{FILE}, the {sum(PARTS.values()):,} bytes of the unpacked file"


def enwik8_bytes(root: Path, part: str, *, source: str) -> TokenFile:
    """The bytes of a part as ids from 0 to 255.

    Args:
        root: folder that holds the file.
        part: `train`, `valid` or `test`.
        source: where the file is to be had.

    Raises:
        DataError: the file is missing or of another size.
    """
    path, reader = root / FILE, Reader(expected=LAYOUT, source=source)
    with reader.reading(path):
        size = path.stat().st_size
    if size != sum(PARTS.values()):
        raise reader.error(f"{size:,} bytes", path)
    begin = sum(PARTS[before] for before in list(PARTS)[: list(PARTS).index(part)])
    return TokenFile(path=path, dtype=np.dtype(np.uint8), offset_bytes=begin, length=PARTS[part])

"""Writes fairseq's binarised sentences and dictionaries, for tests."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

CODES = {1: "<u1", 2: "<i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}
WORDS = ["Haus@@", "tuer", ",", "das", "&quot;", "the", "door"]
"""Of a small joined dictionary; they have the numbers from 4 on."""


def old_index(sizes: list[int], *, code: int = 4, version: int = 1) -> bytes:
    """TNTIDX, as fairseq's `IndexedDatasetBuilder` writes it."""
    places = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    width = np.dtype(CODES.get(code, "<i4")).itemsize
    header = b"TNTIDX\x00\x00" + struct.pack("<QQQQQ", version, code, width, len(sizes), len(sizes))
    return header + struct.pack(f"<{3 * len(sizes) + 2}q", *range(len(sizes) + 1), *places, *sizes)


def mapped_index(sizes: list[int], *, code: int = 4) -> bytes:
    """MMIDIDX, as fairseq's `MMapIndexedDataset` writes it: no document marks."""
    width = np.dtype(CODES[code]).itemsize
    places = [width * sum(sizes[:number]) for number in range(len(sizes))]
    header = b"MMIDIDX\x00\x00" + struct.pack("<QBQ", 1, code, len(sizes))
    return header + struct.pack(f"<{len(sizes)}i{len(sizes)}q", *sizes, *places)


def write_sentences(prefix: Path, sentences: list[list[int]], *, code: int = 4, mapped: bool = False) -> None:
    """`<prefix>.idx` and `<prefix>.bin`; Lua's form has every id one too high."""
    sizes = [len(sentence) for sentence in sentences]
    ids = np.array([word for sentence in sentences for word in sentence]) + (0 if mapped else 1)
    prefix.with_name(f"{prefix.name}.bin").write_bytes(ids.astype(CODES[code]).tobytes())
    index = mapped_index(sizes, code=code) if mapped else old_index(sizes, code=code)
    prefix.with_name(f"{prefix.name}.idx").write_bytes(index)


def write_translations(root: Path, *, mapped: bool = False) -> None:
    """A `data.root` of the transformer: three pairs to train on, two to test on; 2 ends a sentence."""
    for language in ("en", "de"):
        (root / f"dict.{language}.txt").write_text("".join(f"{word} 3\n" for word in WORDS), encoding="utf-8")
    parts = {
        "train": ([[9, 10, 2], [10, 2], [9, 9, 10, 10, 2]], [[7, 4, 5, 2], [4, 5, 2], [7, 2]]),
        "test": ([[9, 10, 2], [10, 2]], [[7, 4, 5, 2], [8, 4, 5, 8, 2]]),
    }
    for name, (english, german) in parts.items():
        write_sentences(root / f"{name}.en-de.en", english, mapped=mapped)
        write_sentences(root / f"{name}.en-de.de", german, mapped=mapped)
    (root / "test.raw.de").write_text('das Haustuer\n"Haustuer"\n', encoding="utf-8")

"""Criteo's logs of a few rows in their true forms, with every value a function of day, row and column."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

ROWS = tuple(range(5, 31))
"""Of each of the 26 tables."""
LOOKUPS = (3, 1) * 13


def count(day: int, row: int, column: int) -> int:
    return (7 * day + 3 * row + column) % 50 - 2


def identity(day: int, row: int, table: int) -> int:
    return (day * 7_368_787 + row * 104_729 + table * 15_485_863 + 0xF000_0000) % 2**32


def label(day: int, row: int) -> int:
    return (day + row) % 2


def line(day: int, row: int) -> str:
    """One line of a tab-separated file; the first integer and the last id of every third row are missing."""
    counts = ["" if row % 3 == 0 and i == 0 else str(count(day, row, i)) for i in range(13)]
    ids = ["" if row % 3 == 0 and i == 25 else f"{identity(day, row, i):08x}" for i in range(26)]
    return "\t".join([str(label(day, row)), *counts, *ids])


def write_tsv(path: Path, rows: int, day: int = 0, *, end: str = "\n") -> Path:
    text = "".join(line(day, row) + end for row in range(rows)).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def dense(day: int, rows: int) -> np.ndarray:
    """As MLPerf prepares them, missing values aside."""
    counts = [[count(day, row, i) for i in range(13)] for row in range(rows)]
    return np.log(np.array(counts, dtype=np.float32) + 3)


def multi_hot(day: int, rows: int) -> dict[str, np.ndarray]:
    return {
        str(table): np.array(
            [
                [(identity(day, row, table) + place) % ROWS[table] for place in range(LOOKUPS[table])]
                for row in range(rows)
            ],
            dtype=np.int32,
        )
        for table in range(26)
    }


def one_hot(day: int, rows: int) -> np.ndarray:
    return np.array([[identity(day, row, table) % 2**31 for table in range(26)] for row in range(rows)], dtype=np.int32)


def write_days(root: Path, rows: list[int], *, sparse: str = "multi_hot") -> Path:
    """MLPerf's prepared days of so many rows."""
    for day, length in enumerate(rows):
        np.save(root / f"day_{day}_dense.npy", dense(day, length))
        np.save(root / f"day_{day}_labels.npy", np.array([[label(day, row)] for row in range(length)], dtype=np.int32))
        if sparse == "multi_hot":
            arrays: Any = multi_hot(day, length)
            np.savez(root / f"day_{day}_sparse_multi_hot.npz", **arrays)
        else:
            np.save(root / f"day_{day}_sparse.npy", one_hot(day, length))
    return root

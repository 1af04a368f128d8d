"""Writes Megatron-LM's indexed form, for tests."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def write_megatron(prefix: Path, documents: list[list[int]]) -> None:
    """`<prefix>.bin` and `<prefix>.idx` with uint16 ids, one sequence per document."""
    prefix.with_name(f"{prefix.name}.bin").write_bytes(np.concatenate(documents).astype("<u2").tobytes())
    sizes = [len(document) for document in documents]
    places = [2 * sum(sizes[:number]) for number in range(len(sizes))]
    counts = (len(sizes), len(sizes) + 1)
    header = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, *counts)
    body = struct.pack(f"<{counts[0]}i{counts[0]}q{counts[1]}q", *sizes, *places, *range(counts[1]))
    prefix.with_name(f"{prefix.name}.idx").write_bytes(header + body)

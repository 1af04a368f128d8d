"""Writes PaddleNLP's tokenised documents, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def write_paddle(prefix: Path, ids: list[int], **arrays: Any) -> Path:
    """`<prefix>_ids.npy` with uint16 ids and `<prefix>_idx.npz` with `arrays`; the path of the latter."""
    np.save(prefix.with_name(f"{prefix.name}_ids.npy"), np.array(ids, dtype=np.uint16))
    path = prefix.with_name(f"{prefix.name}_idx.npz")
    np.savez(path, **arrays)
    return path

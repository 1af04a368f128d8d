"""FlagPerf's packed texts in the true format: a zip of arrays, one of them pickled objects that no reader may load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SENTENCES, LENGTH, VOCABULARY = 7, 16, 60


class Trap:
    """What a pickle may do; loading it fails."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise RuntimeError('a pickle was loaded')",))


def sentences(count: int = SENTENCES) -> dict[str, Any]:
    """SST-2 as FlagPerf's program packs it; sentence n has 3 + n tokens and the label n % 2."""
    numbers, places = np.arange(count)[:, None], np.arange(LENGTH)
    mask = (places < 3 + numbers).astype(np.int64)
    return {
        "idx": np.arange(count),
        "sentence": np.array([Trap()] * count, dtype=object),
        "label": np.arange(count) % 2,
        "input_ids": (1 + (numbers + places) % (VOCABULARY - 1)) * mask,
        "attention_mask": mask,
    }


def blocks(count: int = SENTENCES) -> dict[str, Any]:
    """Longformer's blocks; the first place is special, and so is place 5 of even blocks."""
    numbers, places = np.arange(count)[:, None], np.arange(LENGTH)
    return {
        "input_ids": (10 * numbers + places) % VOCABULARY,
        "attention_mask": np.ones((count, LENGTH), dtype=np.int64),
        "special_tokens_mask": ((places == 0) | ((places == 5) & (numbers % 2 == 0))).astype(np.int64),
    }


def write(path: Path, arrays: dict[str, Any], *, compressed: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def write_both(root: Path, arrays: dict[str, Any], **options: Any) -> Path:
    """Both files of a data set, with the same content."""
    for part in ("train", "eval"):
        write(root / "dataset" / f"{part}_dataset.npz", arrays, **options)
    return root

"""CIFAR-100's binary version, a few images."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def image_of(number: int) -> np.ndarray:
    """uint8 (3, 32, 32)."""
    return np.random.default_rng(number).integers(0, 256, (3, 32, 32), dtype=np.uint8)


def write_cifar(folder: Path, labels: list[int], *, name: str = "test.bin") -> Path:
    """Images of these fine labels, their coarse ones and the names beside them."""
    folder.mkdir(exist_ok=True)
    records = [bytes([label % 20, label]) + image_of(number).tobytes() for number, label in enumerate(labels)]
    (folder / name).write_bytes(b"".join(records))
    (folder / "fine_label_names.txt").write_text("".join(f"class_{number}\n" for number in range(100)))
    return folder

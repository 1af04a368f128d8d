"""CIFAR-100's test images in the binary version: records of a coarse and a fine label and 3 x 32 x 32 bytes.

The Python version is a pickle, which can run code of whoever made it: it is not read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from models.datasets.reading import Reader
from models.datasets.vision.images import LabelledImage
from models.datasets.vision.views import View

FOLDERS = (".", "cifar-100-binary")
NAMES = "fine_label_names.txt"
CLASSES, EDGE = 100, 32
RECORD = 2 + 3 * EDGE * EDGE
"""Bytes."""


class Cifar100(Dataset[LabelledImage]):
    """The images of one file, in its order; labels are the fine ones."""

    def __init__(self, path: Path, reader: Reader, *, view: View) -> None:
        """Read the file.

        Raises:
            DataError: it is cut off or empty, or holds a label that there is not.
        """
        with reader.reading(path):
            content = np.fromfile(path, dtype=np.uint8)
        if not len(content) or len(content) % RECORD:
            raise reader.error(f"{len(content)} bytes are no whole number of records of {RECORD}", path)
        self._records, self._view = content.reshape(-1, RECORD), view
        if (largest := int(self._records[:, 1].max())) >= CLASSES:
            raise reader.error(f"A label {largest}, of {CLASSES} classes", path)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> LabelledImage:
        record = self._records[index]
        planes = record[2:].reshape(3, EDGE, EDGE).transpose(1, 2, 0)
        return LabelledImage(self._view(Image.fromarray(np.ascontiguousarray(planes))), int(record[1]))


def cifar100_folder(root: Path, reader: Reader) -> Path:
    """The folder under `root` that holds `test.bin`.

    Raises:
        DataError: there is none; says so where the Python version is there instead.
    """
    for name in FOLDERS:
        if (root / name / "test.bin").is_file():
            return root / name
    pickled = (root / "cifar-100-python" / "test").is_file()
    problem = "Only the Python version, a pickle, which is not read," if pickled else "No test.bin"
    raise reader.error(f"{problem} in", root)


def class_names(folder: Path, reader: Reader) -> list[str]:
    """The names of the fine classes, in the order of their labels, with spaces for underscores.

    Raises:
        DataError: the list is missing, or does not have 100 names.
    """
    names = [line.strip().replace("_", " ") for line in reader.text(folder / NAMES).splitlines() if line.strip()]
    if len(names) != CLASSES:
        raise reader.error(f"{len(names)} names, not {CLASSES}", folder / NAMES)
    return names

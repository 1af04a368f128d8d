"""ImageNet's validation images in one folder, as they come out of their archive, with a list of their classes.

`val_map.txt` holds a line `ILSVRC2012_val_00000001.JPEG 65` for each image: MLPerf's and ByteMLPerf's form. Classes are
numbered from 0 in the alphabetical order of WordNet's ids, as class folders are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from models.datasets.base import DataError
from models.datasets.reading import Reader
from models.datasets.vision.images import LabelledImage
from models.datasets.vision.views import View

LIST = "val_map.txt"
FOLDERS = (".", "val", "ILSVRC2012_img_val")
"""Where the images lie, seen from the list."""
LAYOUT = f"{LIST}, a line `name label` for each image, and the images beside it or in {' or '.join(FOLDERS[1:])}"


class ListedImages(Dataset[LabelledImage]):
    """The images of a list, in its order. Every one that is named must be there."""

    def __init__(self, root: Path, *, view: View, classes: int, source: str) -> None:
        """Read the list and look for every image.

        Raises:
            DataError: a line is malformed, a name comes twice, a label is not below `classes`, a class has no image,
                or images are missing.
        """
        self.view, self.layout = view, Reader(expected=LAYOUT, source=source)
        self.files = Reader(expected="a whole JPEG or PNG file", source=source)
        self.names, self.labels = self._read(root / LIST, classes)
        self.folder = self._folder(root)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> LabelledImage:
        image = self.files.image(self.folder / str(self.names[index]), "Cannot read an image")
        return LabelledImage(self.view(image), int(self.labels[index]))

    def _read(self, file: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Names and classes, each in one block of memory."""
        with self.layout.reading(file):
            lines = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines()]
        labels: dict[str, int] = {}
        for number, words in enumerate(lines, 1):
            if not words:
                continue
            where = f"{file}, line {number}"
            name, label = words if len(words) == 2 else ("", "")  # noqa: PLR2004
            if not (label.isascii() and label.isdigit()) or Path(name).is_absolute() or ".." in Path(name).parts:
                raise self.layout.error("Not a name and a label", where)
            if int(label) >= classes:
                raise self.layout.error(f"Label {label} of a network of {classes} classes", where)
            if name in labels:
                raise self.layout.error(f"{name} is named twice", where)
            labels[name] = int(label)
        if absent := sorted(set(range(classes)) - set(labels.values())):
            problem = f"{len(absent)} of {classes} classes have no image, the first {absent[0]}"
            raise DataError(problem, where=file, expected=f"images of all {classes} classes", source=self.layout.source)
        return np.array(list(labels)), np.array(list(labels.values()), dtype=np.int32)

    def _folder(self, root: Path) -> Path:
        """The first folder that holds the first image; it must hold all the others."""
        folders = (root / name for name in FOLDERS)
        folder = next((one for one in folders if (one / str(self.names[0])).is_file()), root)
        missing = [name for name in self.names if not (folder / str(name)).is_file()]
        if missing:
            problem = f"{len(missing)} of {len(self.names)} images named in {LIST} are missing, the first"
            raise self.layout.error(problem, folder / str(missing[0]))
        return folder

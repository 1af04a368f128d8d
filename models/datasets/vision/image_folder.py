"""ImageNet's on-disk form: `<root>/train/<class>/*.JPEG` and `<root>/val/<class>/*.JPEG`, one folder per class."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset
from torchvision.datasets.folder import IMG_EXTENSIONS

from models.datasets.base import DataError, Datasets
from models.datasets.reading import Reader
from models.datasets.vision.images import LabelledImage
from models.datasets.vision.views import View, Views

LAYOUT = "train/<class>/*.JPEG and val/<class>/*.JPEG, the same class folders in both"
NAMED = 5
"""Folders that an error names; the others are an ellipsis."""


class LabelledFolder(Dataset[LabelledImage]):
    """Images by class and by name, both in alphabetical order; hidden files and folders are left out.

    1.28 million names lie in one block of bytes, not in as many Python objects: loader processes share it.
    """

    def __init__(self, folder: Path, *, view: View, source: str) -> None:
        """List the images.

        Raises:
            DataError: the folder is missing, or it or one of its classes is empty.
        """
        self.folder, self.view = folder, view
        self.files = Reader(expected="a whole JPEG or PNG file", source=source)
        layout = Reader(expected=LAYOUT, source=source)
        if not folder.is_dir():
            raise layout.error("Image folder not found", folder)
        with layout.reading(folder):
            self.classes = _listed(folder, folders=True)
            names = [[os.fsencode(name) for name in _listed(folder / one, folders=False)] for one in self.classes]
        if not self.classes:
            raise layout.error("No class folders", folder)
        if empty := [one for one, found in zip(self.classes, names, strict=True) if not found]:
            raise layout.error(f"No images of class {_few(empty)}", folder)
        self._labels = np.repeat(np.arange(len(names), dtype=np.int32), [len(found) for found in names])
        self._ends = np.cumsum([len(name) for found in names for name in found])
        self._names = b"".join(name for found in names for name in found)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> LabelledImage:
        label = int(self._labels[index])
        image = self.files.image(self.folder / self.classes[label] / self._name(index), "Cannot read an image")
        return LabelledImage(self.view(image), label)

    def _name(self, index: int) -> str:
        begin = self._ends[index - 1] if index else 0
        return os.fsdecode(self._names[begin : self._ends[index]])


def image_folders(root: Path, *, views: Views, classes: int, source: str) -> Datasets:
    """Training and evaluation images under `root`.

    Args:
        root: folder that holds `train` and `val`.
        views: what the network sees of an image in training and evaluation.
        classes: outputs of the network; there must be as many class folders.
        source: where the data set is to be had, for error messages.

    Raises:
        DataError: a folder is missing or holds no images, or the class folders differ or are not `classes`. An
            unreadable image raises it when it is reached.
    """
    train = LabelledFolder(root / "train", view=views.training, source=source)
    evaluation = LabelledFolder(root / "val", view=views.evaluation, source=source)
    if differing := sorted(set(train.classes) ^ set(evaluation.classes)):
        problem = f"train and val hold different classes ({_few(differing)})"
        raise DataError(problem, where=root, expected=LAYOUT, source=source)
    if len(train.classes) != classes:
        problem = f"Found {len(train.classes)} class folders for a network of {classes} classes"
        expected = f"{classes} class folders in each of train and val"
        raise DataError(problem, where=root / "train", expected=expected, source=source)
    return Datasets(train, evaluation)


def evaluation_folder(root: Path, *, view: View, classes: int, source: str) -> LabelledFolder:
    """The evaluation images under `root/val` alone; arguments and errors as of `image_folders`."""
    found = LabelledFolder(root / "val", view=view, source=source)
    if len(found.classes) != classes:
        problem = f"Found {len(found.classes)} class folders for a network of {classes} classes"
        raise DataError(problem, where=root / "val", expected=f"{classes} class folders in val", source=source)
    return found


def _listed(folder: Path, *, folders: bool) -> list[str]:
    """Names of the visible folders or images in a folder, sorted; no file is opened or asked about by itself."""
    with os.scandir(folder) as entries:
        visible = (entry for entry in entries if not entry.name.startswith("."))
        if folders:
            return sorted(entry.name for entry in visible if entry.is_dir())
        return sorted(entry.name for entry in visible if entry.name.lower().endswith(IMG_EXTENSIONS))


def _few(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")

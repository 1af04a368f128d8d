"""ImageNet's on-disk form: `<root>/train/<class>/*.JPEG` and `<root>/val/<class>/*.JPEG`, one folder per class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from models.datasets.base import DataError, Datasets
from models.datasets.reading import Reader
from models.datasets.vision.images import IMAGENET_MEAN, IMAGENET_STD, LabelledImage

LAYOUT = "train/<class>/*.JPEG and val/<class>/*.JPEG, the same class folders in both"
CROP_FRACTION = 224 / 256
"""Evaluation looks at the centre 224 pixels of an image whose shorter edge was resized to 256."""


class LabelledFolder(ImageFolder):  # type: ignore[misc]
    """`ImageFolder` whose errors say which file or folder is at fault, what was expected and where to get it."""

    def __init__(self, folder: Path, *, transform: Any, source: str) -> None:
        self.files = Reader(expected="a whole JPEG or PNG file", source=source)
        if not folder.is_dir():
            raise DataError("Image folder not found", where=folder, expected=LAYOUT, source=source)
        with Reader(expected=LAYOUT, source=source).reading(folder):
            try:
                super().__init__(str(folder), transform=transform, loader=self._read)
            except FileNotFoundError as error:  # torchvision says which class has no image
                raise DataError(str(error), where=folder, expected=LAYOUT, source=source) from error

    def __getitem__(self, index: int) -> LabelledImage:
        return LabelledImage(*super().__getitem__(index))

    def _read(self, path: str) -> Image.Image:
        image: Image.Image = self.files.image(path, "Cannot read an image")
        return image


def training_transform(image_size: int) -> Any:
    """Random crop of 8 to 100 % of the area, resized; flip; ImageNet's mean and deviation: float32 [3, size, size]."""
    return v2.Compose([v2.RandomResizedCrop(image_size, antialias=True), v2.RandomHorizontalFlip(), *_to_tensor()])


def evaluation_transform(image_size: int) -> Any:
    """Shorter edge resized to 256 for 224 pixels, in proportion for other sizes; centre crop; mean and deviation."""
    resize = v2.Resize(round(image_size / CROP_FRACTION), antialias=True)
    return v2.Compose([resize, v2.CenterCrop(image_size), *_to_tensor()])


def image_folders(root: Path, *, image_size: int, classes: int, source: str) -> Datasets:
    """Training and evaluation images under `root`.

    Args:
        root: folder that holds `train` and `val`.
        image_size: edge of the square the network sees, in pixels.
        classes: outputs of the network; there must be as many class folders.
        source: where the data set is to be had, for error messages.

    Raises:
        DataError: a folder is missing or holds no images, or the class folders differ or are not `classes`. An
            unreadable image raises it when it is reached.
    """
    train = LabelledFolder(root / "train", transform=training_transform(image_size), source=source)
    evaluation = LabelledFolder(root / "val", transform=evaluation_transform(image_size), source=source)
    if differing := sorted(set(train.classes) ^ set(evaluation.classes)):
        named = ", ".join(differing[:5]) + (" …" if len(differing) > 5 else "")  # noqa: PLR2004
        raise DataError(f"train and val hold different classes ({named})", where=root, expected=LAYOUT, source=source)
    if len(train.classes) != classes:
        problem = f"Found {len(train.classes)} class folders for a network of {classes} classes"
        expected = f"{classes} class folders in each of train and val"
        raise DataError(problem, where=root / "train", expected=expected, source=source)
    return Datasets(train, evaluation)


def _to_tensor() -> list[Any]:
    """From a PIL image to a normalised float32 tensor."""
    import torch

    return [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)]

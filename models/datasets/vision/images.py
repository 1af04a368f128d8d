"""Sample images for classifiers: handwritten digits on crops of photographs.

Everything comes with scikit-learn: 1,797 digits of 8x8 pixels (UCI Optical Recognition of Handwritten Digits) and
two photographs. A digit is scaled, moved, tinted and laid over a photograph: raw pixels do not give its class away.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import Dataset

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of RGB values between 0 and 1 (torchvision's reference transforms)."""
DIGIT_CLASSES = 10
HELD_OUT = 5
"""Every so many digits one is kept for evaluation."""


class LabelledImage(NamedTuple):
    """One labelled image."""

    image: Tensor
    """Float32 [3, height, width], normalised by ImageNet's mean and deviation."""
    label: int


def normalise(image: Tensor) -> Tensor:
    """RGB values between 0 and 1, [3, height, width], to ImageNet's zero mean and unit deviation."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (image - mean) / std


class DigitsOnPhotographs(Dataset[LabelledImage]):
    """Digits over photographs at `image_size` pixels; the same index is always the same picture.

    One digit in `HELD_OUT` is for evaluation, the others for training: no digit is in both.
    """

    def __init__(self, *, image_size: int, train: bool) -> None:
        digits, labels = _digits()
        held_out = np.arange(len(labels)) % HELD_OUT == 0
        self.indices = np.flatnonzero(~held_out if train else held_out)
        self.labels: list[int] = labels[self.indices].tolist()
        self._digits, self.image_size = digits, image_size

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> LabelledImage:
        source = int(self.indices[index])
        random = np.random.default_rng(source)
        image = _compose(self._digits[source], self.image_size, random)
        return LabelledImage(normalise(image), self.labels[index])


@cache
def _digits() -> tuple[Tensor, np.ndarray]:
    """Ink between 0 and 1, [1797, 8, 8], and the classes 0 to 9."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(images.reshape(-1, 8, 8).astype(np.float32) / 16.0), labels


@cache
def _photographs() -> list[Tensor]:
    """RGB between 0 and 1, [3, 427, 640] each."""
    from sklearn.datasets import load_sample_images

    return [torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255.0 for image in load_sample_images().images]


def _compose(digit: Tensor, size: int, random: np.random.Generator) -> Tensor:
    """The digit, inked in a bright colour, over a dimmed crop of a photograph: [3, size, size]."""
    photographs = _photographs()
    background = 0.6 * _crop(photographs[random.integers(len(photographs))], size, random)
    height = int(random.integers(round(0.7 * size), size + 1))
    top, left = random.integers(0, size - height + 1, size=2)
    scaled = interpolate(digit[None, None], (height, height), mode="bilinear", align_corners=False)[0, 0]
    ink = torch.zeros(size, size)
    ink[top : top + height, left : left + height] = scaled
    colour = torch.from_numpy(random.uniform(0.6, 1.0, size=3).astype(np.float32))[:, None, None]
    return background * (1 - ink) + colour * ink


def _crop(photograph: Tensor, size: int, random: np.random.Generator) -> Tensor:
    """A random square of the photograph, [3, size, size]; a small size sees at least 64 pixels, to hold structure."""
    _, height, width = photograph.shape
    edge = min(max(size, 64), height)
    top, left = random.integers(0, height - edge + 1), random.integers(0, width - edge + 1)
    square = photograph[:, top : top + edge, left : left + edge]
    return square if edge == size else interpolate(square[None], (size, size), mode="area")[0]

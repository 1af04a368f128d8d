"""Detection sample data: handwritten digits in front of photographs, with exact boxes and exact masks.

Digits and photographs are scikit-learn's own (UCI handwritten digits, 8x8; `china.jpg` and `flower.jpg`), so nothing is
downloaded. A digit is painted exactly where its mask is set, and no two boxes overlap: boxes and masks are exact.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

Bytes = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

DIGITS = 10
PLACEMENTS_TRIED = 20
EVALUATION_EVERY = 5
"""Every fifth handwritten digit is kept for evaluation."""
TRAINING_WIDTH = 0.75
"""Share of each photograph, from the left, that training scenes are cut from; evaluation uses the rest."""


class _Sources(NamedTuple):
    """Digits as 8x8 grey images with their classes, and photographs as HxWx3 images."""

    digits: list[Image.Image]
    labels: list[int]
    photographs: list[Image.Image]


@lru_cache(maxsize=2)
def _sources(split: Literal["train", "evaluation"]) -> _Sources:
    from sklearn.datasets import load_digits, load_sample_images

    digits = load_digits()
    chosen = [i for i in range(len(digits.target)) if (i % EVALUATION_EVERY == 0) == (split == "evaluation")]
    grey = (digits.images * (255 / 16)).round().astype(np.uint8)
    photographs = []
    for photograph in load_sample_images().images:
        border = int(photograph.shape[1] * TRAINING_WIDTH)
        part = photograph[:, :border] if split == "train" else photograph[:, border:]
        photographs.append(Image.fromarray(np.ascontiguousarray(part)))
    return _Sources([Image.fromarray(grey[i]) for i in chosen], [int(digits.target[i]) for i in chosen], photographs)


class DigitScenes(Dataset[dict[str, Any]]):
    """Scenes of 1 to `most_digits` digits; scene `index` depends on (split, seed, index) alone and is made on the fly.

    An example holds `image`, float32 [3, H, W] in 0..1, and `target`: `boxes` float32 [N, 4] (x1, y1, x2, y2 in pixels,
    right and bottom exclusive), `labels` int64 [N] (digit d has label d + 1; 0 is the background), `masks`
    uint8 [N, H, W], `area` float32 [N], `iscrowd` int64 [N] (all 0) and `image_id` int64 [1].
    """

    def __init__(
        self,
        *,
        split: Literal["train", "evaluation"],
        length: int,
        size: tuple[int, int],
        classes: int = DIGITS,
        most_digits: int = 4,
        digit_scale: tuple[float, float] = (0.25, 0.5),
        seed: int = 0,
    ) -> None:
        """Describe the scenes.

        Args:
            split: digits and parts of the photographs; the two splits share neither.
            length: number of scenes.
            size: height and width of a scene in pixels.
            classes: digits below this one are used.
            most_digits: digits in the fullest scene.
            digit_scale: smallest and largest height of a digit's 8x8 field, as a fraction of the scene's shorter side.
            seed: gives other scenes.

        Raises:
            ValueError: `classes` is not in 1..10.
        """
        if not 1 <= classes <= DIGITS:
            raise ValueError(f"digit scenes have 1 to {DIGITS} classes, not {classes}")
        self.split, self.length, self.size, self.seed = split, length, size, seed
        self.most_digits, self.digit_scale = most_digits, digit_scale
        self.sources = _sources(split)
        self.usable = [i for i, label in enumerate(self.sources.labels) if label < classes]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        random = np.random.default_rng([self.seed, int(self.split == "evaluation"), index])
        scene = self._background(random)
        boxes: list[Box] = []
        labels: list[int] = []
        masks: list[Bytes] = []
        for _ in range(int(random.integers(1, self.most_digits + 1))):
            digit = self.usable[int(random.integers(len(self.usable)))]
            ink = self._ink(digit, random)
            corner = self._free_corner(ink, boxes, random)
            if corner is None:
                continue
            top, left = corner
            height, width = ink.shape
            mask = np.zeros(self.size, dtype=np.uint8)
            mask[top : top + height, left : left + width] = ink
            scene[mask.astype(bool)] = random.integers(150, 256, size=3, dtype=np.uint8)
            boxes.append((left, top, left + width, top + height))
            labels.append(self.sources.labels[digit] + 1)
            masks.append(mask)
        image = torch.from_numpy(scene).permute(2, 0, 1).contiguous().float().div_(255)
        return {"image": image, "target": _target(index, boxes, labels, np.stack(masks))}

    def aspect_ratios(self) -> list[float]:
        """Width ÷ height of each scene: all the same."""
        return [self.size[1] / self.size[0]] * self.length

    def _background(self, random: np.random.Generator) -> Bytes:
        """A darkened part of a photograph, uint8 [H, W, 3]."""
        photograph = self.sources.photographs[int(random.integers(len(self.sources.photographs)))]
        height, width = self.size
        largest = min(photograph.height / height, photograph.width / width)
        factor = largest * float(random.uniform(0.4, 1.0))
        left = float(random.uniform(0, photograph.width - factor * width))
        top = float(random.uniform(0, photograph.height - factor * height))
        part = (left, top, left + factor * width, top + factor * height)
        resized = photograph.resize((width, height), Image.Resampling.BILINEAR, box=part)
        return (np.asarray(resized, dtype=np.uint16) // 2).astype(np.uint8)

    def _ink(self, digit: int, random: np.random.Generator) -> Bytes:
        """The digit's pixels, enlarged to a random size and cut to their bounding box: 0 or 1, uint8 [h, w]."""
        low, high = (round(scale * min(self.size)) for scale in self.digit_scale)
        side = int(random.integers(low, high + 1))
        ink = np.asarray(self.sources.digits[digit].resize((side, side), Image.Resampling.BILINEAR)) >= 128  # noqa: PLR2004
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)

    def _free_corner(self, ink: Bytes, taken: list[Box], random: np.random.Generator) -> tuple[int, int] | None:
        """Top and left of a place where the digit touches no earlier one; None when none was found."""
        height, width = ink.shape
        for _ in range(PLACEMENTS_TRIED):
            top = int(random.integers(self.size[0] - height + 1))
            left = int(random.integers(self.size[1] - width + 1))
            if all(left >= x2 or left + width <= x1 or top >= y2 or top + height <= y1 for x1, y1, x2, y2 in taken):
                return top, left
        return None


def _target(index: int, boxes: list[Box], labels: list[int], masks: Bytes) -> dict[str, Tensor]:
    stacked = torch.from_numpy(masks)
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "masks": stacked,
        "area": stacked.sum(dim=(1, 2)).float(),
        "iscrowd": torch.zeros(len(labels), dtype=torch.int64),
        "image_id": torch.tensor([index]),
    }

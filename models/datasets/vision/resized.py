"""DETR's images: mirrored, cut and resized at random for training, their shorter side 800 pixels for evaluation.

Source: facebookresearch/detr, datasets/coco.py and datasets/transforms.py. Images are uint8 [3, height, width].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from models.datasets.vision.coco import Target, mirrored

SIDES = tuple(range(480, 801, 32))
"""Shorter sides in training, each as likely."""
LONGEST = 1333
SIDES_BEFORE_CUT = (400, 500, 600)
CUT = (384, 600)
"""Least and greatest side of what is cut out."""


def training_change(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    """Mirrored every other time; resized, and every other time cut before that."""
    if torch.rand(()) < 0.5:  # noqa: PLR2004
        image, target = mirrored(image, target)
    if torch.rand(()) < 0.5:  # noqa: PLR2004
        image, target = resized(image, target, side=_one_of(SIDES_BEFORE_CUT))
        image, target = cut(image, target)
    return resized(image, target, side=_one_of(SIDES), longest=LONGEST)


def evaluation_size(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    """The size at which quality is published."""
    return resized(image, target, side=800, longest=LONGEST)


def new_size(height: int, width: int, side: int, longest: int | None = None) -> tuple[int, int]:
    """Height and width with the shorter side `side`, or less where the longer one would exceed `longest`."""
    shorter, longer = min(height, width), max(height, width)
    if longest is not None and longer / shorter * side > longest:
        side = round(longest * shorter / longer)
    other = int(side * longer / shorter)
    return (other, side) if width < height else (side, other)


def resized(image: Tensor, target: Target, *, side: int, longest: int | None = None) -> tuple[Tensor, Target]:
    """The image at another size with its boxes and areas."""
    height, width = image.shape[-2:]
    size = new_size(height, width, side, longest)
    down, across = size[0] / height, size[1] / width
    boxes = target["boxes"] * torch.tensor([across, down, across, down])
    changed = {**target, "boxes": boxes, "area": target["area"] * (down * across)}
    return resize(image, list(size), antialias=True), changed


def cut(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    """A random part of random size; boxes are cut to it, and those outside are dropped."""
    sides = image.shape[-2:]
    height, width = (_between(CUT[0], min(side, CUT[1])) for side in sides)
    top, left = _between(0, sides[0] - height), _between(0, sides[1] - width)
    boxes = target["boxes"] - torch.tensor([left, top, left, top])
    boxes[:, 0::2].clamp_(min=0, max=width)
    boxes[:, 1::2].clamp_(min=0, max=height)
    extent = boxes[:, 2:] - boxes[:, :2]
    kept = (extent > 0).all(dim=1)
    per_object = {**target, "boxes": boxes, "area": extent.prod(dim=1)}
    changed = {name: values if name == "image_id" else values[kept] for name, values in per_object.items()}
    return image[:, top : top + height, left : left + width], changed


def _between(low: int, high: int) -> int:
    """A whole number, both ends included; `low` where there is none between."""
    return int(torch.randint(low, max(low, high) + 1, ()))


def _one_of(values: Sequence[int]) -> int:
    return values[_between(0, len(values) - 1)]

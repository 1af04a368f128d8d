"""One object of an image, pointed at by one of its pixels, with its mask as the truth.

The object is the image's largest that is no crowd; the pixel is the one that lies farthest from the mask's edge, as in
the evaluation of SAM (Kirillov et al., arXiv:2304.02643, section 7.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.datasets.vision.coco import COCO_FILES, CocoInstances


class Prompted(NamedTuple):
    """An image and what it is asked."""

    image: Tensor
    """Float32 [3, height, width] in 0..1."""
    point: Tensor
    """Float32 [2]: x and y of the pixel's centre."""
    mask: Tensor
    """Bool [height, width]."""


class PromptedObjects(Dataset[Prompted]):
    """An object of each example of a data set of instances with masks."""

    def __init__(self, examples: Dataset[Any], indices: Sequence[int]) -> None:
        """Take the examples; those of `indices` have an object that is no crowd."""
        self.examples, self.indices = examples, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Prompted:
        example = self.examples[self.indices[index]]
        target = example["target"]
        masks = target["masks"][target["iscrowd"] == 0].bool()
        mask = masks[masks.sum(dim=(1, 2)).argmax()]
        if not mask.any():
            image = int(target["image_id"])
            raise COCO_FILES.error("No object of the image covers a pixel", f"image_id {image}")
        return Prompted(example["image"], innermost(mask), mask)


def prompted_coco(data: CocoInstances) -> PromptedObjects:
    """The images of a split that have an object."""
    annotations = (data.coco.imgToAnns.get(image_id, []) for image_id in data.ids)
    has_object = [any(not one["iscrowd"] for one in of_image) for of_image in annotations]
    return PromptedObjects(data, np.flatnonzero(has_object).tolist())


def innermost(mask: Tensor) -> Tensor:
    """The centre of the pixel of a mask that is farthest from its edge, (x, y); of several the first by rows.

    What lies outside of the image counts as outside of the mask.
    """
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(mask.numpy(), 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return torch.tensor([column + 0.5, row + 0.5], dtype=torch.float32)

"""Images made to fit a square: enlarged or reduced by one factor, the rest of the square filled.

Images are float32 [3, height, width].
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.transforms.v2.functional import resize


class Fit(NamedTuple):
    """How an image lies in a square."""

    height: int
    """Of the image in the square, in pixels; so is all that follows."""
    width: int
    top: int
    left: int
    original: tuple[int, int]
    """Height and width before."""

    def to_original(self, boxes: Tensor) -> Tensor:
        """Boxes (x1, y1, x2, y2) [N, 4] of the square in the original's pixels, cut to its edges."""
        height, width = self.original
        across, down = self.width / width, self.height / height
        moved = boxes - torch.tensor([self.left, self.top] * 2, dtype=boxes.dtype)
        scaled = moved / torch.tensor([across, down] * 2, dtype=boxes.dtype)
        limits = torch.tensor([width, height] * 2, dtype=boxes.dtype)
        return scaled.clamp(min=0).minimum(limits)


def fit_of(height: int, width: int, size: int, *, centred: bool) -> Fit:
    """Where an image comes to lie in a square of edge `size`: in its middle, or in its top left corner."""
    factor = size / max(height, width)
    inside = [max(1, int(side * factor + 0.5)) for side in (height, width)]
    top, left = ((size - side) // 2 if centred else 0 for side in inside)
    return Fit(inside[0], inside[1], top, left, (height, width))


def fitted(image: Tensor, fit: Fit, size: int, *, fill: float) -> Tensor:
    """The image in the square, bilinear."""
    if image.shape[-2:] != (fit.height, fit.width):
        image = resize(image, [fit.height, fit.width], antialias=True)
    bottom, right = size - fit.top - fit.height, size - fit.left - fit.width
    return pad(image, (fit.left, right, fit.top, bottom), value=fill)

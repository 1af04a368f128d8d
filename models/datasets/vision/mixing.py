"""Mixup (Zhang et al., arXiv:1710.09412) and CutMix (Yun et al., arXiv:1905.04899) of a whole batch."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

import torch
from torch import Tensor


class Mixed(NamedTuple):
    """A batch each of whose images shows two classes."""

    image: Tensor
    """[batch, 3, height, width], in the type it came in."""
    label: Tensor
    """Int64 [batch], the class that `share` of the image shows."""
    other: Tensor
    """Int64 [batch], the class of the rest."""
    share: float


def mix(image: Tensor, label: Tensor, *, mixup_alpha: float, cutmix_alpha: float) -> Mixed:
    """Blend each image with the one before it in the batch, the first with the last.

    As in torchvision's reference, one share is drawn for the batch; where both alphas are positive, a coin decides.
    The draws are the host's, seeded by torch's own generator, so that nothing waits for the device.

    Args:
        image: [batch, 3, height, width] on any device.
        label: int64 [batch].
        mixup_alpha: both parameters of the beta distribution of the share that is kept of an image; 0: no mixup.
        cutmix_alpha: the same of the area that is kept of an image; 0: no CutMix. One of the two is positive.
    """
    draws = random.Random(torch.randint(2**62, (1,), device="cpu").tolist()[0])
    neighbour, other = image.roll(1, dims=0), label.roll(1, dims=0)
    cut = not mixup_alpha or (bool(cutmix_alpha) and draws.random() < 0.5)  # noqa: PLR2004
    alpha = cutmix_alpha if cut else mixup_alpha
    share = draws.betavariate(alpha, alpha)
    if not cut:
        return Mixed(image * share + neighbour * (1 - share), label, other, share)
    height, width = image.shape[-2:]
    top, bottom = _side(height, share, draws)
    left, right = _side(width, share, draws)
    image = image.clone()
    image[..., top:bottom, left:right] = neighbour[..., top:bottom, left:right]
    return Mixed(image, label, other, 1 - (bottom - top) * (right - left) / (height * width))


def _side(edge: int, share: float, draws: random.Random) -> tuple[int, int]:
    """Where the patch begins and ends along an edge: its middle is anywhere, what would lie outside is cut off."""
    middle, half = draws.randrange(edge), int(0.5 * math.sqrt(1 - share) * edge)
    return max(0, middle - half), min(edge, middle + half)

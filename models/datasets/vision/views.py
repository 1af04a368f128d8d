"""How recipes show photographs to a network: from a PIL image to a normalised float32 tensor [3, size, size].

What is random comes from torch's, Python's and NumPy's global generators. A loader process seeds all three by the
loader's seed and its own number: with as many loader processes, a run sees the same crops again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from models.datasets.vision.images import IMAGENET_MEAN, IMAGENET_STD

View = Callable[[Image.Image], Tensor]
CROP_FRACTION = 224 / 256
"""Evaluation looks at the centre 224 pixels of an image whose shorter edge was resized to 256."""
HALF = (0.5, 0.5, 0.5)
"""Mean and deviation that map RGB values between 0 and 1 to -1 and 1."""


class Views(NamedTuple):
    """How one recipe shows photographs; of loader processes, so both can be pickled."""

    training: View
    evaluation: View


def random_crop(size: int, *, augment: Sequence[Any] = (), erase: float = 0.0) -> View:
    """Training in torchvision's reference: a random crop of 8 to 100 % of the area, resized; flip; what a recipe adds.

    Args:
        size: edge of the square the network sees, in pixels.
        augment: transforms of the flipped PIL image, such as RandAugment.
        erase: share of the images in which a random rectangle is set to 0 after normalisation.
    """
    last = [v2.RandomErasing(erase)] if erase else []
    view: View = v2.Compose(
        [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip(), *augment, *_to_tensor(), *last]
    )
    return view


def centre_crop(size: int, *, resize: int | None = None) -> View:
    """Evaluation in torchvision's reference: shorter edge resized, by default to 256 for 224 pixels; centre crop."""
    shorter = round(size / CROP_FRACTION) if resize is None else resize
    view: View = v2.Compose([v2.Resize(shorter, antialias=True), v2.CenterCrop(size), *_to_tensor()])
    return view


def swin_views(training_size: int, evaluation_size: int) -> Views:
    """Those of microsoft/Swin-Transformer, which are timm's: bicubic, RandAugment of random strength, pixel-wise noise.

    RandAugment applies two of 15 operations, each with probability 0.5 and magnitude 9 +- 0.5 of 10; a quarter of the
    images has a rectangle of normal noise.
    """
    from timm.data import create_transform

    training = create_transform(
        training_size,
        is_training=True,
        color_jitter=0.4,  # as published; timm leaves it out beside RandAugment
        auto_augment="rand-m9-mstd0.5-inc1",
        interpolation="bicubic",
        re_prob=0.25,
        re_mode="pixel",
        re_count=1,
    )
    shorter = int(evaluation_size / CROP_FRACTION)
    bicubic = v2.Resize(shorter, interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
    return Views(training, v2.Compose([bicubic, v2.CenterCrop(evaluation_size), *_to_tensor()]))


def squeezed_bicubic(size: int) -> View:
    """Evaluation of networks that were fine-tuned at 384 pixels: squeezed to the square, nothing cropped."""
    resize = v2.Resize((size, size), interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
    view: View = v2.Compose([resize, *_to_tensor()])
    return view


def transfer_views(training_size: int, evaluation_size: int) -> Views:
    """Those of google-research/big_transfer: squeezed to a square of 512 for 480 pixels, random crop, flip; -1 to 1.

    Evaluation squeezes the image to the size itself and crops nothing.
    """
    larger = round(training_size * 512 / 480)
    squeezed, crop = v2.Resize((larger, larger), antialias=True), v2.RandomCrop(training_size)
    whole = v2.Resize((evaluation_size, evaluation_size), antialias=True)
    return Views(
        v2.Compose([squeezed, crop, v2.RandomHorizontalFlip(), *_to_tensor(HALF, HALF)]),
        v2.Compose([whole, *_to_tensor(HALF, HALF)]),
    )


def _to_tensor(mean: Sequence[float] = IMAGENET_MEAN, deviation: Sequence[float] = IMAGENET_STD) -> list[Any]:
    """From a PIL image to a normalised float32 tensor."""
    return [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, deviation)]

"""Keys of `model.architecture` that detectors share; defaults are those of torchvision's `*_resnet50_fpn` builders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from models.recipe import STRICT


@dataclass(kw_only=True, slots=True)
class DetectorArchitecture:
    """What every detector has: classes, sizes of its made images, a ResNet."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    classes: int = 91
    """With the background; COCO's category numbers go up to 90."""
    image_size: tuple[int, int] = (480, 640)
    """Height and width of sample and synthetic images, in pixels; COCO's commonest."""
    objects: int = 7
    """Objects in a synthetic image, and in the fullest sample scene; COCO's training images have 7.3 on average."""
    block: Literal["bottleneck", "basic"] = "bottleneck"
    stages: tuple[int, int, int, int] = (3, 4, 6, 3)
    """Residual blocks per stage of the ResNet."""
    frozen: bool = True
    """Stem, first stage and all batch norms of the ResNet stay as they are, as published for one with ImageNet weights;
    false: all is trained, with batch norm."""


@dataclass(kw_only=True, slots=True)
class PyramidArchitecture(DetectorArchitecture):
    """What detectors over a feature pyramid have beyond that."""

    min_size: int = 800
    max_size: int = 1333
    """The network enlarges an image until its shorter side is `min_size` or its longer side `max_size` pixels."""
    levels: tuple[int, ...] = (1, 2, 3, 4)
    """Stages of the ResNet that the pyramid is built on."""
    pyramid_channels: int = 256
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Pixels, one per pyramid level."""
    detections: int = 100
    """Detections per image, at most."""

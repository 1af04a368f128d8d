"""torchvision's Mask R-CNN, from its `maskrcnn_resnet50_fpn` down to a few channels, built by one function.

With the default architecture, parameters and their names equal those of torchvision's `maskrcnn_resnet50_fpn`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

from models.vision.detection.backbone import build_pyramid
from models.vision.detection.regions import RegionArchitecture, region_options, region_pool

MASK_GRID = 14
"""Pooled size of a region for the mask head, before it doubles it."""


@dataclass(kw_only=True, slots=True)
class MaskRcnnArchitecture(RegionArchitecture):
    """Keys of `model.architecture`; defaults are torchvision's. Regions that hold an object enter the mask loss."""

    mask_channels: tuple[int, ...] = (256, 256, 256, 256)


def build_mask_rcnn(architecture: MaskRcnnArchitecture) -> MaskRCNN:
    """The network with random weights."""
    channels = architecture.mask_channels
    return MaskRCNN(
        build_pyramid(architecture),
        **region_options(architecture),
        mask_roi_pool=region_pool(architecture, MASK_GRID),
        mask_head=MaskRCNNHeads(architecture.pyramid_channels, channels, dilation=1),
        mask_predictor=MaskRCNNPredictor(channels[-1], channels[-1], architecture.classes),
    )

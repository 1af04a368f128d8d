"""Mask R-CNN: boxes, classes and masks of objects, in torchvision's implementation.

Reference: FlagPerf training/mask_rcnn, which trains torchvision's `maskrcnn_resnet50_fpn` on COCO 2017.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import TypeAdapter
from torch import Tensor

from models.datasets.vision.coco_map import MASK_THRESHOLD, CocoMeanAveragePrecision
from models.recipe import Recipe
from models.vision.detection.mask_rcnn_network import MaskRcnnArchitecture, build_mask_rcnn
from models.vision.detection.regions import RegionDetector


class MaskRcnn(RegionDetector):
    """Instance segmentation; quality is `box_map` and `mask_map`, COCO's mAP@[.5:.95] as fractions."""

    with_masks: ClassVar[bool] = True

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.architecture = TypeAdapter(MaskRcnnArchitecture).validate_python(recipe.architecture)
        self.network = build_mask_rcnn(self.architecture)
        self.metrics = {"box_map": CocoMeanAveragePrecision("bbox"), "mask_map": CocoMeanAveragePrecision("segm")}

    def on_host(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """One image's detections; masks as booleans, a quarter of the bytes to bring over."""
        return super().on_host({**found, "masks": found["masks"] > MASK_THRESHOLD})

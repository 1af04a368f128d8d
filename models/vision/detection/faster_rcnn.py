"""Faster R-CNN: boxes and classes of objects, in torchvision's implementation.

Reference: FlagPerf training/faster_rcnn, which trains torchvision's `fasterrcnn_resnet50_fpn` on COCO 2017.
"""

from __future__ import annotations

from pydantic import TypeAdapter
from torchvision.models.detection import FasterRCNN

from models.datasets.vision.coco_map import CocoMeanAveragePrecision
from models.recipe import Recipe
from models.vision.detection.backbone import build_pyramid
from models.vision.detection.regions import RegionArchitecture, RegionDetector, region_options


class FasterRcnn(RegionDetector):
    """Boxes alone. At scale=reference, parameters and their names are those of torchvision's network."""

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.architecture = TypeAdapter(RegionArchitecture).validate_python(recipe.architecture)
        self.network = FasterRCNN(build_pyramid(self.architecture), **region_options(self.architecture))
        self.metrics = {"box_map": CocoMeanAveragePrecision("bbox")}

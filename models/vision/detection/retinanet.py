"""RetinaNet: boxes and classes of objects in one stage with focal loss, in torchvision's implementation.

Reference: FlagPerf training/retinanet, which trains torchvision's `retinanet_resnet50_fpn` on COCO 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import TypeAdapter
from torch import Tensor
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from models.datasets.base import Batch
from models.datasets.vision.coco_map import CocoMeanAveragePrecision
from models.recipe import Recipe
from models.vision.detection.architecture import PyramidArchitecture
from models.vision.detection.backbone import build_pyramid
from models.vision.detection.detector import Detector

ASPECT_RATIOS = (0.5, 1.0, 2.0)
OCTAVES = (0, 1 / 3, 2 / 3)
"""Each anchor size comes in three scales."""


@dataclass(kw_only=True, slots=True)
class RetinaNetArchitecture(PyramidArchitecture):
    """Keys of `model.architecture`; defaults are torchvision's."""

    levels: tuple[int, ...] = (2, 3, 4)
    """Stages of the ResNet; two coarser levels are added by convolutions."""
    detections: int = 300

    def __post_init__(self) -> None:
        if len(self.anchor_sizes) != len(self.levels) + 2:
            raise ValueError("model.architecture.anchor_sizes needs one size per level and two for those added")


class Float32Head(RetinaNetHead):  # type: ignore[misc]
    """torchvision's, with answers in float32: half precision would overflow in the loss and shift boxes by pixels."""

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        """Class scores [N, anchors, classes] and box regressions [N, anchors, 4]."""
        return {name: answers.float() for name, answers in super().forward(x).items()}


class RetinaNetDetector(Detector):
    """Boxes alone. At scale=reference, parameters and their names are those of torchvision's network."""

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.architecture = TypeAdapter(RetinaNetArchitecture).validate_python(recipe.architecture)
        self.network = build_retinanet(self.architecture)
        self.metrics = {"box_map": CocoMeanAveragePrecision("bbox")}

    def loss(self, batch: Batch) -> Tensor:
        """Focal loss of the classes plus the boxes' absolute error, each divided by an image's anchors on objects.

        Raises:
            ValueError: the weights are not float32.
        """
        self.require_float32()
        losses: dict[str, Tensor] = self.network(batch["images"], batch["targets"])
        return torch.stack(list(losses.values())).sum()


def build_retinanet(architecture: RetinaNetArchitecture) -> RetinaNet:
    """The network with random weights."""
    channels = architecture.pyramid_channels
    sizes = tuple(tuple(int(size * 2**octave) for octave in OCTAVES) for size in architecture.anchor_sizes)
    anchors = AnchorGenerator(sizes, (ASPECT_RATIOS,) * len(sizes))
    return RetinaNet(
        build_pyramid(architecture, top=LastLevelP6P7(channels, channels)),
        architecture.classes,
        min_size=architecture.min_size,
        max_size=architecture.max_size,
        anchor_generator=anchors,
        head=Float32Head(channels, len(ASPECT_RATIOS) * len(OCTAVES), architecture.classes),
        detections_per_img=architecture.detections,
    )

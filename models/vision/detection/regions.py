"""Two-stage detectors: the parts that torchvision's Faster and Mask R-CNN share, and how their work is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign

from models.datasets.base import Batch
from models.vision.detection.architecture import PyramidArchitecture
from models.vision.detection.detector import Detector

BOX_GRID = 7
"""Pooled size of a region for the box head."""
ASPECT_RATIOS = (0.5, 1.0, 2.0)


@dataclass(kw_only=True, slots=True)
class RegionArchitecture(PyramidArchitecture):
    """Keys of `model.architecture` of both; defaults are torchvision's."""

    canonical_scale: int = 224
    """Size in pixels of a region that is pooled from level 4."""
    proposals: int = 2000
    """Proposals kept in training, before and after suppression; half of it in evaluation."""
    anchors_sampled: int = 256
    """Anchors per image in the proposal loss."""
    regions_sampled: int = 512
    """Regions per image in the box loss; at most a quarter hold an object."""
    box_features: int = 1024

    def __post_init__(self) -> None:
        if len(self.anchor_sizes) != len(self.levels) + 1:
            raise ValueError("model.architecture.anchor_sizes needs one size per level and one for the pooled level")


class Float32Proposals(RPNHead):  # type: ignore[misc]
    """torchvision's, with answers in float32: autocast would have boxes decoded in 8 or 11 bits."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Objectness and box regression, a tensor for each level."""
        objectness, boxes = super().forward(x)
        return [one.float() for one in objectness], [one.float() for one in boxes]


class Float32Predictor(FastRCNNPredictor):  # type: ignore[misc]
    """torchvision's, with answers in float32 for the same reason."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the classes and box regressions of all regions."""
        scores, boxes = super().forward(x)
        return scores.float(), boxes.float()


def region_options(architecture: RegionArchitecture) -> dict[str, Any]:
    """Arguments of torchvision's `FasterRCNN` and `MaskRCNN` beside the backbone."""
    channels = architecture.pyramid_channels
    sizes = tuple((size,) for size in architecture.anchor_sizes)
    return {
        "min_size": architecture.min_size,
        "max_size": architecture.max_size,
        "rpn_anchor_generator": AnchorGenerator(sizes, (ASPECT_RATIOS,) * len(sizes)),
        "rpn_head": Float32Proposals(channels, len(ASPECT_RATIOS)),
        "rpn_pre_nms_top_n_train": architecture.proposals,
        "rpn_post_nms_top_n_train": architecture.proposals,
        "rpn_pre_nms_top_n_test": architecture.proposals // 2,
        "rpn_post_nms_top_n_test": architecture.proposals // 2,
        "rpn_batch_size_per_image": architecture.anchors_sampled,
        "box_roi_pool": region_pool(architecture, BOX_GRID),
        "box_head": TwoMLPHead(channels * BOX_GRID**2, architecture.box_features),
        "box_predictor": Float32Predictor(architecture.box_features, architecture.classes),
        "box_batch_size_per_image": architecture.regions_sampled,
        "box_detections_per_img": architecture.detections,
    }


def region_pool(architecture: RegionArchitecture, grid: int) -> MultiScaleRoIAlign:
    """Pools regions to `grid` x `grid` from the pyramid level that suits their size."""
    names = [str(position) for position in range(len(architecture.levels))]
    return MultiScaleRoIAlign(names, grid, sampling_ratio=2, canonical_scale=architecture.canonical_scale)


class RegionDetector(Detector):
    """A detector that proposes regions and looks at each."""

    architecture: RegionArchitecture

    def loss(self, batch: Batch) -> Tensor:
        """The sum of the losses: objectness and boxes of proposals; classes, boxes and, if any, masks of regions.

        Raises:
            ValueError: the weights are not float32.
        """
        self.require_float32()
        losses: dict[str, Tensor] = self.network(batch["images"], batch["targets"])
        return torch.stack([loss.float() for loss in losses.values()]).sum()

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the heads at the recipe's number of regions.

        How many regions are left to sample from, and how many of them hold an object and enter a mask head, depends on
        the image and on what the network has learnt: noise gives few. Counted are `regions_sampled` (published: 512)
        per image for the box head, a quarter of them (128), torchvision's largest share, with an object.
        """
        heads = self.network.get_submodule("roi_heads")
        hook = heads.register_forward_pre_hook(self._offer_regions)
        try:
            yield
        finally:
            hook.remove()

    def _offer_regions(self, heads: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Proposals of which the heads choose as many as they may: each object over and over, and specks."""
        features, proposals, sizes, targets = arguments
        wanted = self.architecture.regions_sampled
        offered = []
        for proposed, target in zip(proposals, targets, strict=True):
            boxes = target["boxes"].to(proposed)
            objects = boxes.repeat(-(-wanted // len(boxes)), 1)[:wanted]
            speck = torch.tensor([0.0, 0.0, 1.0, 1.0]).to(proposed)
            offered.append(torch.cat([objects, speck.expand(wanted, 4)]))
        return features, offered, sizes, targets

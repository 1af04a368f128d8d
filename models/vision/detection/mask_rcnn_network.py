"""torchvision's Mask R-CNN, from its `maskrcnn_resnet50_fpn` down to a few channels, built by one function.

With the default architecture, parameters and their names equal those of torchvision's `maskrcnn_resnet50_fpn`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from models.datasets.reading import Reader
from models.recipe import STRICT

BOX_GRID, MASK_GRID = 7, 14
"""Pooled size of a region for the box and the mask head, before the mask head doubles it."""
ASPECT_RATIOS = (0.5, 1.0, 2.0)
TRAINED_STAGES = ("layer2", "layer3", "layer4")
"""Stages of a loaded backbone that go on training, torchvision's default; the others and all batch norms are frozen."""


@dataclass(kw_only=True, slots=True)
class MaskRcnnArchitecture:
    """Keys of `model.architecture`; defaults are torchvision's."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    classes: int = 91
    """With the background."""
    image_size: tuple[int, int] = (480, 640)
    """Height and width of sample and synthetic images, in pixels."""
    objects: int = 7
    """Objects in a synthetic image, and in the fullest sample scene; COCO's training images have 7.3 on average."""
    min_size: int = 800
    max_size: int = 1333
    """The network enlarges an image until its shorter side is `min_size` or its longer side `max_size` pixels."""
    block: Literal["bottleneck", "basic"] = "bottleneck"
    stages: tuple[int, int, int, int] = (3, 4, 6, 3)
    """Residual blocks per stage of the ResNet."""
    backbone_weights: str | None = None
    """A file of torchvision's ResNet weights; None trains all of the backbone, with batch norm, from random weights."""
    levels: tuple[int, ...] = (1, 2, 3, 4)
    """Stages the pyramid is built on; one coarser level is added by pooling."""
    pyramid_channels: int = 256
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Pixels, one per pyramid level."""
    canonical_scale: int = 224
    """Size in pixels of a region that is pooled from level 4."""
    proposals: int = 2000
    """Proposals kept in training, before and after suppression; half of it in evaluation."""
    anchors_sampled: int = 256
    """Anchors per image in the proposal loss."""
    regions_sampled: int = 512
    """Regions per image in the box loss; at most a quarter hold an object and enter the mask loss."""
    detections: int = 100
    """Detections per image, at most."""
    box_features: int = 1024
    mask_channels: tuple[int, ...] = (256, 256, 256, 256)

    def __post_init__(self) -> None:
        if len(self.anchor_sizes) != len(self.levels) + 1:
            raise ValueError("model.architecture.anchor_sizes needs one size per level and one for the pooled level")


def build_mask_rcnn(architecture: MaskRcnnArchitecture) -> MaskRCNN:
    """The network, with random weights but for `backbone_weights`.

    Raises:
        DataError: the weights file is missing or does not fit.
    """
    backbone = _pyramid(architecture)
    channels = architecture.pyramid_channels
    anchors = AnchorGenerator(
        tuple((size,) for size in architecture.anchor_sizes), (ASPECT_RATIOS,) * len(architecture.anchor_sizes)
    )
    return MaskRCNN(
        backbone,
        min_size=architecture.min_size,
        max_size=architecture.max_size,
        rpn_anchor_generator=anchors,
        rpn_pre_nms_top_n_train=architecture.proposals,
        rpn_post_nms_top_n_train=architecture.proposals,
        rpn_pre_nms_top_n_test=architecture.proposals // 2,
        rpn_post_nms_top_n_test=architecture.proposals // 2,
        rpn_batch_size_per_image=architecture.anchors_sampled,
        box_roi_pool=_pool(architecture, BOX_GRID),
        box_head=TwoMLPHead(channels * BOX_GRID**2, architecture.box_features),
        box_predictor=FastRCNNPredictor(architecture.box_features, architecture.classes),
        box_batch_size_per_image=architecture.regions_sampled,
        box_detections_per_img=architecture.detections,
        mask_roi_pool=_pool(architecture, MASK_GRID),
        mask_head=MaskRCNNHeads(channels, architecture.mask_channels, dilation=1),
        mask_predictor=MaskRCNNPredictor(
            architecture.mask_channels[-1], architecture.mask_channels[-1], architecture.classes
        ),
    )


def _pool(architecture: MaskRcnnArchitecture, grid: int) -> MultiScaleRoIAlign:
    names = [str(position) for position in range(len(architecture.levels))]
    return MultiScaleRoIAlign(names, grid, sampling_ratio=2, canonical_scale=architecture.canonical_scale)


def _pyramid(architecture: MaskRcnnArchitecture) -> BackboneWithFPN:
    block: type[BasicBlock] | type[Bottleneck] = Bottleneck if architecture.block == "bottleneck" else BasicBlock
    loaded = architecture.backbone_weights is not None
    norm: Callable[..., nn.Module] = FrozenBatchNorm2d if loaded else nn.BatchNorm2d
    resnet = ResNet(block, list(architecture.stages), norm_layer=norm)
    if architecture.backbone_weights is not None:
        _load(resnet, Path(architecture.backbone_weights).expanduser())
        for name, parameter in resnet.named_parameters():
            parameter.requires_grad_(name.startswith(TRAINED_STAGES))
    stages = {f"layer{level}": str(position) for position, level in enumerate(architecture.levels)}
    channels = [64 * block.expansion * 2 ** (level - 1) for level in architecture.levels]
    return BackboneWithFPN(resnet, stages, channels, architecture.pyramid_channels)


def _load(resnet: ResNet, path: Path) -> None:
    """Copy weights from a file into the ResNet; on the meta device only their names and shapes are checked."""
    expected = "a state dict of torchvision's ResNet with this block and these stages, as torch.save wrote it"
    source = "https://download.pytorch.org/models/resnet50-0676ba61.pth (model.architecture.backbone_weights)"
    reader = Reader(expected=expected, source=source)
    if not path.exists():
        raise reader.error("Backbone weights not found", path)
    with reader.reading(path, "Backbone weights cannot be read"):
        weights: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    with reader.reading(path, "Backbone weights do not fit"):
        resnet.load_state_dict(weights)
    if not all(values.isfinite().all() for values in weights.values()):
        raise reader.error("Backbone weights hold values that are not finite", path)

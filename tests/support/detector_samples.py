"""Tiny detectors, weights in torchvision's form for them, and what a predictor that sees nothing reaches."""

from __future__ import annotations

from typing import Any

import torch
from language_samples import recipe
from torch import Tensor
from torchvision.models.resnet import BasicBlock, ResNet
from zoo import model_class

from models.vision.detection.detector import Detector

DETECTORS = ("detr", "faster_rcnn", "mask_rcnn", "retinanet")


def tiny_detector(name: str, *, seed: int = 0, **architecture: Any) -> Detector:
    """One of `DETECTORS`, its architecture changed as said."""
    made = recipe(name)
    made.architecture |= architecture
    torch.manual_seed(seed)
    detector = model_class(name)(made)
    assert isinstance(detector, Detector)
    return detector


def imagenet_weights(*, seed: int = 1) -> dict[str, Tensor]:
    """A state dict of torchvision's ResNet as small as the tiny detectors', its norms as if trained."""
    torch.manual_seed(seed)
    weights: dict[str, Tensor] = ResNet(BasicBlock, [1, 1, 1, 1]).state_dict()
    for name, tensor in weights.items():
        if name.endswith(("running_mean", "bias")) and tensor.ndim == 1:
            tensor.normal_(std=0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
    return weights


def blind_map(truths: list[dict[str, Tensor]], answer: dict[str, Tensor], detector: Detector) -> float:
    """`box_map` of a predictor that looks at no image and always gives one answer."""
    metric: Any = detector.metrics["box_map"]
    metric.reset()
    metric.update([answer] * len(truths), truths)
    return float(metric.compute())

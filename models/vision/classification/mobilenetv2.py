"""MobileNetV2 image classification (Sandler et al., arXiv:1801.04381) in torchvision's form: FlagPerf's mobilenetv2."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models import mobilenetv2

from models.vision.classification.classifier import Classifier


class MobileNetV2(Classifier):
    """A network of inverted residual blocks; the unit is the image.

    Architecture fields beside the classifier's: `blocks` (of each stage expansion, channels, blocks and first stride),
    `width` (factor of all channels but the last layer's 1280), `dropout` (before the last layer).
    """

    def build(self, architecture: dict[str, Any]) -> nn.Module:
        """Torchvision's network."""
        network: nn.Module = mobilenetv2.MobileNetV2(
            num_classes=self.classes,
            width_mult=float(architecture["width"]),
            inverted_residual_setting=[list(stage) for stage in architecture["blocks"]],
            dropout=float(architecture["dropout"]),
        )
        return network

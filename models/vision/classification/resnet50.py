"""ResNet image classification (He et al., arXiv:1512.03385) in torchvision's form: FlagPerf training/resnet50."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from models.vision.classification.classifier import Classifier


class ResNet50(Classifier):
    """A network of bottleneck blocks; the unit is the image.

    Architecture fields beside the classifier's: `layers` (blocks per stage), `width_per_group` (channels of the first
    stage's 3x3 convolutions). Layers [3, 4, 6, 3] and width 64 are ResNet-50 v1.5.
    """

    def build(self, architecture: dict[str, Any]) -> nn.Module:
        """Torchvision's network."""
        network: nn.Module = ResNet(
            Bottleneck,
            list(architecture["layers"]),
            num_classes=self.classes,
            width_per_group=int(architecture["width_per_group"]),
        )
        return network

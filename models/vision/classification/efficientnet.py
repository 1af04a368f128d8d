"""EfficientNetV2 image classification (Tan and Le, arXiv:2104.00298) in torchvision's form: FlagPerf's efficientnet."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torchvision.models import efficientnet
from torchvision.transforms import v2

from models.datasets.vision.views import Views, centre_crop, random_crop
from models.vision.classification.classifier import Classifier

BLOCKS = {"fused": efficientnet.FusedMBConvConfig, "separate": efficientnet.MBConvConfig}
EPS = 1e-3
"""Of EfficientNetV2's batch normalisation."""


class EfficientNet(Classifier):
    """A network of inverted residual blocks, the first of them with fused convolutions; the unit is the image.

    Architecture fields beside the classifier's: `blocks` (of each stage `fused` or `separate`, expansion, kernel, first
    stride, channels in and out, blocks), `last_channels`, `dropout` (before the last layer), `stochastic_depth` (of the
    last block, in proportion before).
    """

    def build(self, architecture: dict[str, Any]) -> nn.Module:
        """Torchvision's network."""
        network: nn.Module = efficientnet.EfficientNet(
            [BLOCKS[kind](*sizes) for kind, *sizes in architecture["blocks"]],
            dropout=float(architecture["dropout"]),
            stochastic_depth_prob=float(architecture["stochastic_depth"]),
            num_classes=self.classes,
            norm_layer=partial(nn.BatchNorm2d, eps=EPS),
            last_channel=int(architecture["last_channels"]),
        )
        return network

    def views(self) -> Views:
        """TrivialAugment, a tenth of the images erased in part; evaluation resizes to the very size it crops."""
        augment = v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR)
        training = random_crop(self.image_size, augment=[augment], erase=0.1)
        return Views(training, centre_crop(self.evaluation_size, resize=self.evaluation_size))

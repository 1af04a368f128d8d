"""Swin Transformer (Liu et al., arXiv:2103.14030) in torchvision's form: FlagPerf training/swin_transformer."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models import swin_transformer

from models.datasets.vision.views import Views, swin_views
from models.vision.classification.classifier import Classifier


class SwinTransformer(Classifier):
    """A Transformer of four resolutions whose attention stays within shifted windows; the unit is the image.

    Architecture fields beside the classifier's: `patch_size`, `embedding` (channels of the first stage), `depths` and
    `heads` (of each stage), `window` (edge in patches), `stochastic_depth` (of the last block, in proportion before).
    """

    def build(self, architecture: dict[str, Any]) -> nn.Module:
        """Torchvision's network."""
        network: nn.Module = swin_transformer.SwinTransformer(
            patch_size=[int(architecture["patch_size"])] * 2,
            embed_dim=int(architecture["embedding"]),
            depths=list(architecture["depths"]),
            num_heads=list(architecture["heads"]),
            window_size=[int(architecture["window"])] * 2,
            stochastic_depth_prob=float(architecture["stochastic_depth"]),
            num_classes=self.classes,
        )
        return network

    def views(self) -> Views:
        """Those of microsoft/Swin-Transformer."""
        return swin_views(self.image_size, self.evaluation_size)

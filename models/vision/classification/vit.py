"""Vision Transformer (Dosovitskiy et al., arXiv:2010.11929) in torchvision's form: FlagPerf training/vit."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torchvision.models.vision_transformer import VisionTransformer
from torchvision.transforms import v2

from models.datasets.vision.views import Views, centre_crop, random_crop
from models.vision.classification.classifier import Classifier


class VisionTransformerClassifier(Classifier):
    """A Transformer's encoder over square patches; the unit is the image.

    Architecture fields beside the classifier's: `patch_size`, `layers`, `heads`, `hidden`, `feed_forward`, `norm_eps`
    (default 1e-6). Patch size 16 and 12 layers of 12 heads are ViT-B/16. The last layer begins with zeros.
    """

    def build(self, architecture: dict[str, Any]) -> nn.Module:
        """Torchvision's network."""
        network: nn.Module = VisionTransformer(
            image_size=self.image_size,
            patch_size=int(architecture["patch_size"]),
            num_layers=int(architecture["layers"]),
            num_heads=int(architecture["heads"]),
            hidden_dim=int(architecture["hidden"]),
            mlp_dim=int(architecture["feed_forward"]),
            num_classes=self.classes,
            norm_layer=partial(nn.LayerNorm, eps=float(architecture.get("norm_eps", 1e-6))),
        )
        return network

    def views(self) -> Views:
        """RandAugment of torchvision's default strength: two operations of magnitude 9 of 30."""
        augment = v2.RandAugment(interpolation=v2.InterpolationMode.BILINEAR)
        return Views(random_crop(self.image_size, augment=[augment]), centre_crop(self.evaluation_size))

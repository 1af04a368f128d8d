"""Big Transfer (Kolesnikov et al., arXiv:1912.11370), fine-tuned: FlagPerf training/bigtransfer."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from timm.layers import StdConv2d
from timm.models.resnetv2 import ResNetV2
from torch import Tensor, nn

from models.datasets.vision.views import Views, transfer_views
from models.vision.classification.classifier import Classifier
from models.weights import InitialWeights

EPS = 1e-10
"""Of weight standardisation, as in google-research/big_transfer; timm's own is 1e-8."""
HEAD = "head.fc"
WHOLE = {
    "root_block/standardized_conv2d/kernel": "stem.conv.weight",
    "group_norm/gamma": "norm.weight",
    "group_norm/beta": "norm.bias",
}
BLOCK = re.compile(r"block(\d+)/unit(\d+)/([abc])/(?:(proj/)?standardized_conv2d/kernel|group_norm/(gamma|beta))")
KERNEL = 4
"""Dimensions of a convolution's kernel."""
NORM = {"gamma": "weight", "beta": "bias"}


class BigTransfer(Classifier):
    """A pre-activation residual network with group norms and standardised weights; the unit is the image.

    Architecture fields beside the classifier's: `layers` (blocks per stage), `channels` (per stage), `width` (factor of
    all channels). Layers [3, 8, 36, 3] and width 2 are R152x2. The last layer begins with zeros, as published.
    """

    def build(self, architecture: dict[str, Any]) -> nn.Module:
        """Timm's network."""
        network = ResNetV2(
            layers=list(architecture["layers"]),
            channels=tuple(architecture["channels"]),
            width_factor=int(architecture["width"]),
            stem_type="fixed",
            conv_layer=partial(StdConv2d, eps=EPS),
            num_classes=self.classes,
        )
        nn.init.zeros_(network.get_submodule(HEAD).weight)
        built: nn.Module = network
        return built

    def views(self) -> Views:
        """Those of google-research/big_transfer."""
        return transfer_views(self.image_size, self.evaluation_size)

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """Those of BiT's .npz without its head of 21,843 classes; kernels there are [height, width, in, out]."""
        body = {name: tensor for name, tensor in weights.items() if not name.startswith("resnet/head/")}
        tensors = {
            _own_name(name): tensor.permute(3, 2, 0, 1).contiguous() if tensor.ndim == KERNEL else tensor
            for name, tensor in body.items()
        }
        return InitialWeights(tensors, may_lack=(f"{HEAD}.*",))


def _own_name(name: str) -> str:
    """Our name of a tensor of BiT; one that is none of BiT's keeps its own, by which the checkpoint is refused."""
    short = name.removeprefix("resnet/")
    found = BLOCK.fullmatch(short)
    if found is None:
        return WHOLE.get(short, name)
    stage, unit, letter, projection, norm = found.groups()
    layer = "abc".index(letter) + 1
    part = f"norm{layer}.{NORM[norm]}" if norm else "downsample.conv.weight" if projection else f"conv{layer}.weight"
    return f"stages.{int(stage) - 1}.blocks.{int(unit) - 1}.{part}"

"""torchvision's ResNet under a detector: what of it is trained, the pyramid on it, and ImageNet weights for it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from models.vision.detection.architecture import DetectorArchitecture, PyramidArchitecture

TRAINED_STAGES = ("layer2", "layer3", "layer4")
"""Of a frozen ResNet, torchvision's default and DETR's."""
QUIET = 0.2
"""Weight of the last norm of a frozen random residual block. A frozen norm does not normalise: at 1, every block would
double the activations' variance, and 16 of them end in infinities. Weights that are loaded replace it."""
COUNTER = "num_batches_tracked"
PARTS = ("layer1", "layer2", "layer3", "layer4", "fc")
"""Of torchvision's ResNet after the stem."""


def build_resnet(architecture: DetectorArchitecture) -> ResNet:
    """The ResNet with random weights; frozen as the architecture says."""
    block: type[BasicBlock] | type[Bottleneck] = Bottleneck if architecture.block == "bottleneck" else BasicBlock
    norm: Callable[..., nn.Module] = FrozenBatchNorm2d if architecture.frozen else nn.BatchNorm2d
    resnet = ResNet(block, list(architecture.stages), norm_layer=norm)
    if architecture.frozen:
        for name, parameter in resnet.named_parameters():
            parameter.requires_grad_(name.startswith(TRAINED_STAGES))
        for module in resnet.modules():
            if isinstance(module, BasicBlock | Bottleneck):
                last = module.bn2 if isinstance(module, BasicBlock) else module.bn3
                nn.init.constant_(last.weight, QUIET)
    return resnet


def stage_channels(architecture: DetectorArchitecture, stage: int) -> int:
    """Channels that come out of a stage, 1 to 4."""
    expansion = Bottleneck.expansion if architecture.block == "bottleneck" else BasicBlock.expansion
    return int(64 * expansion * 2 ** (stage - 1))


def build_pyramid(architecture: PyramidArchitecture, *, top: ExtraFPNBlock | None = None) -> BackboneWithFPN:
    """The ResNet with a feature pyramid; `top` makes its coarser levels, torchvision's default is one by pooling."""
    stages = {f"layer{level}": str(position) for position, level in enumerate(architecture.levels)}
    channels = [stage_channels(architecture, level) for level in architecture.levels]
    return BackboneWithFPN(
        build_resnet(architecture), stages, channels, architecture.pyramid_channels, extra_blocks=top
    )


def under_backbone(weights: dict[str, Tensor], network: nn.Module, prefix: str) -> dict[str, Tensor]:
    """The tensors of torchvision's ResNet under their names in a detector.

    Its classifier and stages that the detector does not use are dropped, and so are the counters of frozen batch norms;
    any other name that is unknown stays, for whoever loads it to refuse.

    Args:
        weights: by torchvision's names, as in `resnet50-0676ba61.pth`.
        network: the detector.
        prefix: of the ResNet's names in it.
    """
    own = network.state_dict().keys()
    used = {name.removeprefix(prefix).partition(".")[0] for name in own if name.startswith(prefix)}
    unused = tuple(f"{part}." for part in PARTS if part not in used)
    return {
        prefix + name: tensor
        for name, tensor in weights.items()
        if not name.startswith(unused) and (prefix + name in own or not name.endswith(COUNTER))
    }

"""The blocks of torchvision's ResNet, as every port builds them: how many, how wide, which of them stride."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STEM = 64
"""Channels of the first convolution, and of the first stage's 3x3 convolutions, were these of standard width."""
EXPANSION = 4
"""Channels of a block's output, divided by those of its 3x3 convolution, were that of standard width."""
STANDARD_WIDTH = 64


@dataclass(slots=True, frozen=True, kw_only=True)
class BottleneckSizes:
    """A block: 1x1, 3x3 (which strides, as in ResNet v1.5) and 1x1 convolutions beside a short cut."""

    inputs: int
    """Channels that it is given."""
    width: int
    """Channels of its 3x3 convolution."""
    outputs: int
    """Channels that it gives."""
    stride: int

    @property
    def projects(self) -> bool:
        """Whether a convolution is in the short cut, because what comes out has another shape than what goes in."""
        return self.stride != 1 or self.inputs != self.outputs


def resnet_stages(architecture: Mapping[str, Any]) -> list[list[BottleneckSizes]]:
    """The blocks of each stage.

    Args:
        architecture: as `models.vision.classification.resnet50.ResNet50` takes it.
    """
    stages, inputs = [], STEM
    for number, count in enumerate(architecture["layers"]):
        planes = STEM * 2**number
        width, outputs = planes * int(architecture["width_per_group"]) // STANDARD_WIDTH, planes * EXPANSION
        stage = []
        for place in range(int(count)):
            stride = 2 if place == 0 and number > 0 else 1
            stage.append(BottleneckSizes(inputs=inputs, width=width, outputs=outputs, stride=stride))
            inputs = outputs
        stages.append(stage)
    return stages

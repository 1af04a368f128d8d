"""The blocks of a port's ResNet are those that torchvision builds."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.resnet import Bottleneck, ResNet

from models.ports.bottlenecks import STEM, BottleneckSizes, resnet_stages


@pytest.mark.parametrize(("layers", "width"), [([3, 4, 6, 3], 64), ([1, 2, 1], 16), ([2, 1], 128)])
def test_blocks_are_those_of_torchvision(layers: list[int], width: int) -> None:
    with torch.device("meta"):
        network = ResNet(Bottleneck, [*layers, *[1] * (4 - len(layers))], width_per_group=width)
    assert network.conv1.out_channels == STEM
    for number, stage in enumerate(resnet_stages({"layers": layers, "width_per_group": width}), start=1):
        blocks = list(getattr(network, f"layer{number}"))
        assert stage == [
            BottleneckSizes(
                inputs=block.conv1.in_channels,
                width=block.conv2.out_channels,
                outputs=block.conv3.out_channels,
                stride=block.conv2.stride[0],
            )
            for block in blocks
        ]
        assert [sizes.projects for sizes in stage] == [block.downsample is not None for block in blocks]

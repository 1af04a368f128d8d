"""ResNet in MindSpore: torchvision's network of bottleneck blocks, its cells under torchvision's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindspore import Tensor, nn, ops
from mindspore import dtype as types

from models.ports.bottlenecks import STEM, BottleneckSizes, resnet_stages
from models.ports.mindspore.dialect import MINDSPORE
from models.ports.mindspore.port import MindsporePort
from models.ports.port import Arrays
from models.ports.weights import WeightPlace, mirrored


def _convolution(inputs: int, outputs: int, size: int, stride: int) -> nn.Conv2d:
    # Torch's padding; MindSpore's "same" pads the other side of a strided convolution.
    return nn.Conv2d(inputs, outputs, size, stride=stride, pad_mode="pad", padding=size // 2, has_bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    # The share of the old statistics that is kept, as MindSpore counts it; torch's momentum is the share of the new.
    return nn.BatchNorm2d(channels, eps=1e-5, momentum=0.9)


class BottleneckMindspore(nn.Cell):
    """1x1, 3x3 (which strides, as in ResNet v1.5) and 1x1 convolutions beside a short cut."""

    def __init__(self, sizes: BottleneckSizes) -> None:
        super().__init__()
        inputs, width, outputs, stride = sizes.inputs, sizes.width, sizes.outputs, sizes.stride
        self.conv1, self.bn1 = _convolution(inputs, width, 1, 1), _norm(width)
        self.conv2, self.bn2 = _convolution(width, width, 3, stride), _norm(width)
        self.conv3, self.bn3 = _convolution(width, outputs, 1, 1), _norm(outputs)
        self.projects = sizes.projects
        if self.projects:
            self.downsample = nn.SequentialCell([_convolution(inputs, outputs, 1, stride), _norm(outputs)])

    def construct(self, values: Tensor) -> Tensor:
        """[batch, inputs, height, width] to [batch, outputs, height / stride, width / stride]."""
        short = values
        if self.projects:
            short = self.downsample(values)
        values = ops.relu(self.bn1(self.conv1(values)))
        values = ops.relu(self.bn2(self.conv2(values)))
        return ops.relu(self.bn3(self.conv3(values)) + short)


class ResNetNetworkMindspore(nn.Cell):
    """Images [batch, 3, height, width] to class scores [batch, classes], not normalised."""

    def __init__(self, stages: list[list[BottleneckSizes]], classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(3, STEM, 7, 2), _norm(STEM)
        self.maxpool = nn.MaxPool2d(3, stride=2, pad_mode="pad", padding=1)
        for number, stage in enumerate(stages):
            setattr(self, f"layer{number + 1}", nn.SequentialCell([BottleneckMindspore(sizes) for sizes in stage]))
        self.stages = [getattr(self, f"layer{number + 1}") for number in range(len(stages))]
        self.fc = nn.Dense(stages[-1][-1].outputs, classes)

    def construct(self, image: Tensor) -> Tensor:
        """The scores."""
        values = self.maxpool(ops.relu(self.bn1(self.conv1(image))))
        for stage in self.stages:
            values = stage(values)
        return self.fc(values.mean((2, 3)))


class ImageLossMindspore(nn.Cell):
    """Mean cross entropy of a network of scores, with label smoothing."""

    def __init__(self, network: nn.Cell, smoothing: float) -> None:
        super().__init__(auto_prefix=False)
        self.network, self.smoothing = network, smoothing

    def construct(self, image: Tensor, label: Tensor) -> Tensor:
        """Images and classes to a scalar of float32."""
        scores = self.network(image).astype(types.float32)
        return ops.cross_entropy(scores, label, label_smoothing=self.smoothing)


class ResNetMindspore(MindsporePort):
    """`models.vision.classification.resnet50.ResNet50` in MindSpore's cells."""

    regularisations = frozenset({"label_smoothing"})
    inputs = ("image", "label")

    def build(self) -> nn.Cell:
        """The network."""
        sizes = self.recipe.architecture
        return ResNetNetworkMindspore(resnet_stages(sizes), int(sizes["classes"]))

    def build_loss(self, network: nn.Cell) -> nn.Cell:
        """Cross entropy around it."""
        return ImageLossMindspore(network, float(self.recipe.training.regularisation.label_smoothing))

    def places(self) -> Mapping[str, WeightPlace]:
        """Layer by layer."""
        return mirrored(self.original.network, MINDSPORE)

    def judge(self, network: Any, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """Which images got their class."""
        return {"top1": (network(batch["image"]).argmax(axis=-1) == batch["label"],)}

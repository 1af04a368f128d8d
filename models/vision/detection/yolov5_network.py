"""YOLOv5's network, version 6: a cross-stage backbone, a path aggregation head and boxes decoded in pixels.

Source: ultralytics/yolov5 v6.x, models/yolov5*.yaml and models/common.py. Layers have the order and the names of its
checkpoints, `model.<layer>.…`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

STRIDES = (8, 16, 32)
ANCHORS = (
    (10, 13, 16, 30, 33, 23),
    (30, 61, 62, 45, 59, 119),
    (116, 90, 156, 198, 373, 326),
)
"""Width and height of three boxes for each stride, in pixels."""
BOX = 5
"""Values of an answer before its classes: x, y, width, height and whether there is an object."""
SOURCES: dict[int, tuple[int, ...]] = {12: (-1, 6), 16: (-1, 4), 19: (-1, 14), 22: (-1, 10), 24: (17, 20, 23)}
"""Layers that take more than the one before them: the numbers of those that they take."""
EPS, MOMENTUM = 1e-3, 0.03
"""Of batch normalisation."""


class YoloV5Network(nn.Module):
    """float32 [batch, 3, size, size] in 0..1 to [batch, answers, 5 + classes]; at 640 pixels there are 25,200 answers.

    An answer is a box's centre, width and height in pixels, and the probabilities that there is an object and, given
    that, of each class. It is decoded in float32, for half precision shifts boxes by pixels.
    """

    def __init__(self, *, classes: int, depth: float, width: float) -> None:
        """Build it with random weights.

        Args:
            classes: what objects can be.
            depth: factor of the blocks of each stage.
            width: factor of all channels, which are rounded up to whole eights.
        """
        super().__init__()
        c64, c128, c256, c512, c1024 = (math.ceil(one * width / 8) * 8 for one in (64, 128, 256, 512, 1024))
        three, six, nine = (max(round(one * depth), 1) for one in (3, 6, 9))
        self.model = nn.ModuleList(
            [
                ConvNormAct(3, c64, kernel=6, stride=2, padding=2),
                ConvNormAct(c64, c128, kernel=3, stride=2),
                CrossStage(c128, c128, blocks=three),
                ConvNormAct(c128, c256, kernel=3, stride=2),
                CrossStage(c256, c256, blocks=six),
                ConvNormAct(c256, c512, kernel=3, stride=2),
                CrossStage(c512, c512, blocks=nine),
                ConvNormAct(c512, c1024, kernel=3, stride=2),
                CrossStage(c1024, c1024, blocks=three),
                PooledPyramid(c1024),
                ConvNormAct(c1024, c512),
                nn.Upsample(scale_factor=2, mode="nearest"),
                Joined(),
                CrossStage(2 * c512, c512, blocks=three, shortcut=False),
                ConvNormAct(c512, c256),
                nn.Upsample(scale_factor=2, mode="nearest"),
                Joined(),
                CrossStage(2 * c256, c256, blocks=three, shortcut=False),
                ConvNormAct(c256, c256, kernel=3, stride=2),
                Joined(),
                CrossStage(2 * c256, c512, blocks=three, shortcut=False),
                ConvNormAct(c512, c512, kernel=3, stride=2),
                Joined(),
                CrossStage(2 * c512, c1024, blocks=three, shortcut=False),
                AnchoredBoxes((c256, c512, c1024), classes),
            ]
        )

    def forward(self, image: Tensor) -> Tensor:
        """The answers of all three strides, the finest first."""
        found = [image]  # layer n's output has place n + 1
        for number, layer in enumerate(self.model):
            sources = SOURCES.get(number, (-1,))
            found.append(layer(*(found[source if source < 0 else source + 1] for source in sources)))
        return found[-1]


class ConvNormAct(nn.Module):
    """Convolution, batch normalisation, SiLU; `padding` is half the kernel unless it is given."""

    def __init__(self, inside: int, outside: int, *, kernel: int = 1, stride: int = 1, padding: int | None = None):
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(inside, outside, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outside, eps=EPS, momentum=MOMENTUM)
        self.act = nn.SiLU()

    def forward(self, image: Tensor) -> Tensor:
        """Pass on."""
        result: Tensor = self.act(self.bn(self.conv(image)))
        return result


class ShortcutBlock(nn.Module):
    """Two convolutions, 1x1 and 3x3, beside a shortcut."""

    def __init__(self, channels: int, *, shortcut: bool) -> None:
        super().__init__()
        self.cv1, self.cv2 = ConvNormAct(channels, channels), ConvNormAct(channels, channels, kernel=3)
        self.shortcut = shortcut

    def forward(self, image: Tensor) -> Tensor:
        """Pass on."""
        result: Tensor = self.cv2(self.cv1(image))
        return image + result if self.shortcut else result


class CrossStage(nn.Module):
    """Blocks on half of the channels, the other half beside them (C3)."""

    def __init__(self, inside: int, outside: int, *, blocks: int, shortcut: bool = True) -> None:
        super().__init__()
        half = outside // 2
        self.cv1, self.cv2 = ConvNormAct(inside, half), ConvNormAct(inside, half)
        self.cv3 = ConvNormAct(2 * half, outside)
        self.m = nn.Sequential(*(ShortcutBlock(half, shortcut=shortcut) for _ in range(blocks)))

    def forward(self, image: Tensor) -> Tensor:
        """Pass on."""
        result: Tensor = self.cv3(torch.cat((self.m(self.cv1(image)), self.cv2(image)), dim=1))
        return result


class PooledPyramid(nn.Module):
    """Maxima over 5, 9 and 13 pixels, as three poolings in a row (SPPF)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = ConvNormAct(channels, channels // 2), ConvNormAct(2 * channels, channels)
        self.m = nn.MaxPool2d(kernel_size=5, stride=1, padding=2)

    def forward(self, image: Tensor) -> Tensor:
        """Pass on."""
        levels = [self.cv1(image)]
        for _ in range(3):
            levels.append(self.m(levels[-1]))
        result: Tensor = self.cv2(torch.cat(levels, dim=1))
        return result


class Joined(nn.Module):
    """Channels of several layers, one after another."""

    def forward(self, *images: Tensor) -> Tensor:
        """Pass on."""
        return torch.cat(images, dim=1)


class AnchoredBoxes(nn.Module):
    """Answers for three boxes at each place of each stride. `anchors` [3, 3, 2] are in units of the stride."""

    anchors: Tensor

    def __init__(self, channels: tuple[int, ...], classes: int) -> None:
        super().__init__()
        strides = torch.tensor(STRIDES, dtype=torch.float32)
        boxes = torch.tensor(ANCHORS, dtype=torch.float32).view(len(STRIDES), -1, 2)
        self.register_buffer("anchors", boxes / strides.view(-1, 1, 1))
        self.values, self.count = BOX + classes, boxes.shape[1]
        self.m = nn.ModuleList(nn.Conv2d(one, self.count * self.values, 1) for one in channels)

    def forward(self, *levels: Tensor) -> Tensor:
        """Answers [batch, 3 x places, 5 + classes], in pixels."""
        answers = [self._decoded(place, self.m[place](level)) for place, level in enumerate(levels)]
        return torch.cat(answers, dim=1)

    def _decoded(self, place: int, level: Tensor) -> Tensor:
        """One stride's answers, row by row of each of its boxes."""
        batch, _, rows, columns = level.shape
        raw = level.float().view(batch, self.count, self.values, rows, columns).permute(0, 1, 3, 4, 2).sigmoid()
        made: dict[str, Any] = {"dtype": raw.dtype, "device": raw.device}
        down, across = torch.meshgrid(torch.arange(rows, **made), torch.arange(columns, **made), indexing="ij")
        corner = torch.stack((across, down), dim=-1) - 0.5
        centre = (raw[..., :2] * 2 + corner) * STRIDES[place]
        size = (raw[..., 2:4] * 2) ** 2 * self.anchors[place].float().view(1, -1, 1, 1, 2) * STRIDES[place]
        return torch.cat((centre, size, raw[..., 4:]), dim=-1).view(batch, -1, self.values)

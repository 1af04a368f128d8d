"""DETR (Carion et al. 2020): a ResNet, a transformer over its last feature map, and a fixed number of object queries.

Modules and their names are those of facebookresearch/detr, so that its checkpoints are read as they are. transformers'
class is not used: it lacks the dropout inside the feed-forward layers and waits for the device in every encoder layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu
from torchvision.models._utils import IntermediateLayerGetter

from models.datasets.vision.images import IMAGENET_MEAN, IMAGENET_STD
from models.vision.detection.architecture import DetectorArchitecture
from models.vision.detection.backbone import build_resnet, stage_channels
from models.vision.detection.detr_transformer import DetrTransformer

TEMPERATURE = 10_000
"""Ratio of the slowest to the fastest wave of the position encoding."""


@dataclass(kw_only=True, slots=True)
class DetrArchitecture(DetectorArchitecture):
    """Keys of `model.architecture`; defaults are those of DETR R50."""

    stage: int = 4
    """Stage of the ResNet that the transformer sees."""
    hidden: int = 256
    heads: int = 8
    encoder_layers: int = 6
    decoder_layers: int = 6
    intermediate: int = 2048
    """Width of the feed-forward layers."""
    dropout: float = 0.1
    queries: int = 100
    """Objects that can be found in an image."""

    def __post_init__(self) -> None:
        if self.hidden % 4 or self.hidden % self.heads:
            raise ValueError("model.architecture.hidden must be a multiple of 4 and of model.architecture.heads")


class Answers(NamedTuple):
    """What the queries answer, after each layer of the decoder."""

    logits: Tensor
    """Float32 [layers, images, queries, classes + 1]; the last class is `nothing`."""
    boxes: Tensor
    """Float32 [layers, images, queries, 4]: centre, width and height as shares of the image's own size."""


class Detr(nn.Module):
    """The network: images of any sizes in, a class and a box for each query out."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, architecture: DetrArchitecture) -> None:
        super().__init__()
        hidden, channels = architecture.hidden, stage_channels(architecture, architecture.stage)
        getter = IntermediateLayerGetter(build_resnet(architecture), {f"layer{architecture.stage}": "0"})
        self.backbone = nn.ModuleList([nn.ModuleDict({"body": getter})])  # named as in its checkpoints
        self.input_proj = nn.Conv2d(channels, hidden, kernel_size=1)
        self.transformer = DetrTransformer(
            hidden=hidden,
            heads=architecture.heads,
            encoder_layers=architecture.encoder_layers,
            decoder_layers=architecture.decoder_layers,
            intermediate=architecture.intermediate,
            dropout=architecture.dropout,
        )
        self.query_embed = nn.Embedding(architecture.queries, hidden)
        self.class_embed = nn.Linear(hidden, architecture.classes + 1)
        self.bbox_embed = BoxHead(hidden)
        for name, values in (("mean", IMAGENET_MEAN), ("deviation", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, images: list[Tensor]) -> Answers:
        """Answers to images [3, H, W] with values in 0..1."""
        pixels, padding = padded([(image - self.mean) / self.deviation for image in images])
        features = self.backbone[0]["body"](pixels)["0"]  # type: ignore[index]
        padding = interpolate(padding[None].float(), size=features.shape[-2:])[0].bool()
        places = sine_positions(padding, self.query_embed.embedding_dim).to(features.dtype)
        hidden = self.transformer(self.input_proj(features), padding, places, self.query_embed.weight)
        return Answers(self.class_embed(hidden).float(), self.bbox_embed(hidden).float().sigmoid())


class BoxHead(nn.Module):
    """Three linear layers from a query's state to its box, before the sigmoid."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(hidden, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 4)])

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., hidden] to [..., 4]."""
        first, second, last = self.layers
        answer: Tensor = last(relu(second(relu(first(hidden)))))
        return answer


def padded(images: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Images in one tensor, zeros right and below of the smaller ones, and where that padding is [images, H, W]."""
    height, width = (max(image.shape[side] for image in images) for side in (1, 2))
    pixels = images[0].new_zeros(len(images), 3, height, width)
    padding = torch.ones(len(images), height, width, dtype=torch.bool, device=pixels.device)
    for row, image in enumerate(images):
        pixels[row, :, : image.shape[1], : image.shape[2]] = image
        padding[row, : image.shape[1], : image.shape[2]] = False
    return pixels, padding


def sine_positions(padding: Tensor, channels: int) -> Tensor:
    """Sines and cosines of each place's share of the image's height and width, float32 [images, channels, H, W]."""
    inside = ~padding
    waves = channels // 2
    period = TEMPERATURE ** (2 * (torch.arange(waves, device=padding.device) // 2).float() / waves)
    parts = []
    for side in (1, 2):  # rows first
        steps = inside.cumsum(side, dtype=torch.float32)
        share = steps / (steps.narrow(side, steps.shape[side] - 1, 1) + 1e-6) * (2 * math.pi)
        angles = share[..., None] / period
        parts.append(torch.stack([angles[..., 0::2].sin(), angles[..., 1::2].cos()], dim=-1).flatten(-2))
    return torch.cat(parts, dim=-1).permute(0, 3, 1, 2)

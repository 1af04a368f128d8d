"""The image classifiers, and the quality of trivial predictors."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from models.datasets.vision.images import DigitsOnPhotographs

CLASSIFIERS = ("bigtransfer", "efficientnet", "mobilenetv2", "resnet50", "swin_transformer", "vit")


def commonest_share(size: int) -> float:
    """Top-1 of naming the commonest class of the sample's evaluation images."""
    labels = DigitsOnPhotographs(image_size=size, train=False).labels
    return float(np.bincount(labels).max() / len(labels))


def nearest_mean_share(size: int) -> float:
    """Top-1 of the class whose mean training image is nearest, by pixels."""
    pixels, labels = [], []
    for is_train in (True, False):
        part = DigitsOnPhotographs(image_size=size, train=is_train)
        pixels.append(torch.stack([part[index].image.flatten() for index in range(len(part))]))
        labels.append(torch.tensor(part.labels))
    means = torch.stack([pixels[0][labels[0] == label].mean(0) for label in range(10)])
    return float((torch.cdist(pixels[1], means).argmin(1) == labels[1]).float().mean())


def undecayed(network: nn.Module, optimizer: torch.optim.Optimizer) -> set[str]:
    """Names of the parameters that the optimizer trains without weight decay."""
    names = {parameter: name for name, parameter in network.named_parameters()}
    groups = [group for group in optimizer.param_groups if group["weight_decay"] == 0]
    return {names[parameter] for group in groups for parameter in group["params"]}

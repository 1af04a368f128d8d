"""A small ResNet, its port and its batches, and how far numbers are apart: what checks of TensorFlow share."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import torch
from hydra import compose
from torch import nn

from models.ports.tensorflow.port import TensorflowPort
from models.ports.tensorflow.resnet import ResNetTensorflow
from models.vision.classification.resnet50 import ResNet50
from runner.config.compose import composing, to_case

TINY = ("scale=tiny", "model.architecture.image_size=64", "model.train.regularisation.label_smoothing=0.1")


def original(*overrides: str) -> ResNet50:
    """The PyTorch model of a recipe, with weights by a seed and norms that are not what they begin with."""
    with composing():
        chosen = ["model=resnet50", "vendor=cpu", *overrides]
        recipe = to_case(compose("config", overrides=chosen)).model
    torch.manual_seed(5)
    found = ResNet50(recipe)
    for layer in found.network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
            assert layer.running_mean is not None and layer.running_var is not None
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return found


def ported(model: ResNet50, products: str = "float32") -> TensorflowPort:
    """Its port, with its weights."""
    port = ResNetTensorflow(model, weights="float32", products=products)
    own = port.from_original()
    for variable in port.network.variables:
        variable.assign(own.pop(variable.path))
    assert not own
    return port


def batch_of(model: ResNet50, size: int = 8) -> tuple[dict[str, Any], dict[str, Any]]:
    """One for torch, and the same for TensorFlow."""
    torch.manual_seed(11)
    batch = model.synthetic_batch(size)
    return batch, {name: tf.constant(value.numpy()) for name, value in batch.items()}


def far(found: Any, expected: Any) -> float:
    """Largest difference, in parts of the largest expected number."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))


def length(values: Any) -> float:
    """Euclidean."""
    return float(np.linalg.norm(np.asarray(values, np.float64).ravel()))

"""ResNet in JAX: torchvision's network of bottleneck blocks, its layers under torchvision's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import optax
from flax import nnx
from jax import numpy as jnp

from models.ports.bottlenecks import STEM, BottleneckSizes, resnet_stages
from models.ports.jax.dialect import FLAX
from models.ports.jax.layers import BatchNormJax
from models.ports.jax.port import JaxPort
from models.ports.port import Arrays
from models.ports.weights import WeightPlace, mirrored


def _convolution(inputs: int, outputs: int, size: int, *, stride: int, types: dict[str, Any], rngs: Any) -> nnx.Conv:
    pad = size // 2
    return nnx.Conv(
        inputs,
        outputs,
        (size, size),
        strides=stride,
        padding=((pad, pad), (pad, pad)),  # torch's; "SAME" pads the other side of a strided convolution
        use_bias=False,
        rngs=rngs,
        **types,
    )


class BottleneckJax(nnx.Module):
    """1x1, 3x3 (which strides, as in ResNet v1.5) and 1x1 convolutions beside a short cut."""

    def __init__(self, sizes: BottleneckSizes, *, types: dict[str, Any], rngs: Any) -> None:
        inputs, width, outputs, stride = sizes.inputs, sizes.width, sizes.outputs, sizes.stride
        given = {"types": types, "rngs": rngs}
        self.conv1 = _convolution(inputs, width, 1, stride=1, **given)
        self.bn1 = BatchNormJax(width, types=types)
        self.conv2 = _convolution(width, width, 3, stride=stride, **given)
        self.bn2 = BatchNormJax(width, types=types)
        self.conv3 = _convolution(width, outputs, 1, stride=1, **given)
        self.bn3 = BatchNormJax(outputs, types=types)
        self.downsample = (
            nnx.List([_convolution(inputs, outputs, 1, stride=stride, **given), BatchNormJax(outputs, types=types)])
            if sizes.projects
            else None
        )

    def __call__(self, values: jax.Array) -> jax.Array:
        """[batch, height, width, inputs] to [batch, height / stride, width / stride, outputs]."""
        short = values
        if self.downsample is not None:
            convolution, norm = self.downsample
            short = norm(convolution(values))
        values = jax.nn.relu(self.bn1(self.conv1(values)))
        values = jax.nn.relu(self.bn2(self.conv2(values)))
        return jax.nn.relu(self.bn3(self.conv3(values)) + short)


class ResNetNetworkJax(nnx.Module):
    """Images [batch, height, width, 3] to class scores [batch, classes]."""

    def __init__(self, stages: list[list[BottleneckSizes]], classes: int, types: dict[str, Any], rngs: Any) -> None:
        self.conv1 = _convolution(3, STEM, 7, stride=2, types=types, rngs=rngs)
        self.bn1 = BatchNormJax(STEM, types=types)
        for number, stage in enumerate(stages):
            blocks = [BottleneckJax(sizes, types=types, rngs=rngs) for sizes in stage]
            setattr(self, f"layer{number + 1}", nnx.List(blocks))
        self.stages = len(stages)
        self.fc = nnx.Linear(stages[-1][-1].outputs, classes, rngs=rngs, **types)

    def __call__(self, image: jax.Array) -> jax.Array:
        """Scores, not normalised."""
        values = jax.nn.relu(self.bn1(self.conv1(image)))
        values = nnx.max_pool(values, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for number in range(self.stages):
            for block in getattr(self, f"layer{number + 1}"):
                values = block(values)
        return self.fc(values.mean(axis=(1, 2)))


class ResNetJax(JaxPort):
    """`models.vision.classification.resnet50.ResNet50` in flax.nnx."""

    regularisations = frozenset({"label_smoothing"})

    def build(self, rngs: Any) -> Any:
        """The network."""
        sizes = self.recipe.architecture
        return ResNetNetworkJax(resnet_stages(sizes), int(sizes["classes"]), self.types, rngs)

    def places(self) -> Mapping[str, WeightPlace]:
        """Layer by layer."""
        return mirrored(self.original.network, FLAX)

    def loss(self, network: Any, batch: Arrays, rngs: Any = None) -> jax.Array:
        """Mean cross entropy, with label smoothing."""
        network.train()
        smoothing = self.recipe.training.regularisation.label_smoothing
        scores = self._scores(network, batch)
        targets = optax.smooth_labels(jax.nn.one_hot(batch["label"], scores.shape[-1]), smoothing)
        return optax.softmax_cross_entropy(scores, targets).mean()

    def judge(self, network: Any, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """Which images got their class."""
        network.eval()
        return {"top1": (self._scores(network, batch).argmax(axis=-1) == batch["label"],)}

    def _scores(self, network: Any, batch: Arrays) -> jax.Array:
        image = batch["image"].transpose(0, 2, 3, 1)
        scores: jax.Array = network(image.astype(self.types["dtype"])).astype(jnp.float32)
        return scores

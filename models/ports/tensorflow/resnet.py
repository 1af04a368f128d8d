"""ResNet in Keras: torchvision's network of bottleneck blocks, its layers under torchvision's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from models.ports.bottlenecks import STEM, BottleneckSizes, resnet_stages
from models.ports.port import Arrays
from models.ports.tensorflow.dialect import KERAS
from models.ports.tensorflow.layers import NHWC, FusedBatchNorm, PaddedConv2D
from models.ports.tensorflow.port import TensorflowPort
from models.ports.weights import WeightPlace, mirrored


class ResNetTensorflow(TensorflowPort):
    """`models.vision.classification.resnet50.ResNet50` in Keras."""

    regularisations = frozenset({"label_smoothing"})

    def build(self) -> keras.Model:
        """Images [batch, height, width, 3] to class scores [batch, classes]."""
        sizes = self.recipe.architecture
        image = keras.Input((None, None, 3), name="image", dtype=self.policy.compute_dtype)
        values = self._convolved(image, STEM, 7, "conv1", "bn1", stride=2)
        values = self._layer(keras.layers.ReLU)(values)
        # Behind a ReLU a zero around the picture wins as often as torch's -inf does: never over a value above it.
        values = self._layer(keras.layers.ZeroPadding2D, padding=1, data_format=NHWC)(values)
        values = self._layer(keras.layers.MaxPooling2D, pool_size=3, strides=2, data_format=NHWC)(values)
        for number, stage in enumerate(resnet_stages(sizes)):
            for place, block in enumerate(stage):
                values = self._bottleneck(values, block, f"layer{number + 1}.{place}")
        values = self._layer(keras.layers.GlobalAveragePooling2D, data_format=NHWC)(values)
        scores = self._layer(keras.layers.Dense, units=int(sizes["classes"]), name="fc")(values)
        return keras.Model(image, scores, name="resnet")

    def _bottleneck(self, inputs: Any, sizes: BottleneckSizes, name: str) -> Any:
        """1x1, 3x3 (which strides, as in ResNet v1.5) and 1x1 convolutions beside a short cut."""
        width, outputs, stride = sizes.width, sizes.outputs, sizes.stride
        values = self._convolved(inputs, width, 1, f"{name}.conv1", f"{name}.bn1")
        values = self._layer(keras.layers.ReLU)(values)
        values = self._convolved(values, width, 3, f"{name}.conv2", f"{name}.bn2", stride=stride)
        values = self._layer(keras.layers.ReLU)(values)
        values = self._convolved(values, outputs, 1, f"{name}.conv3", f"{name}.bn3")
        short = inputs
        if sizes.projects:
            own = f"{name}.downsample"
            short = self._convolved(inputs, outputs, 1, f"{own}.0", f"{own}.1", stride=stride)
        return self._layer(keras.layers.ReLU)(self._layer(keras.layers.Add)([values, short]))

    def _convolved(self, inputs: Any, channels: int, size: int, name: str, norm: str, *, stride: int = 1) -> Any:
        values = self._layer(PaddedConv2D, filters=channels, kernel_size=size, strides=stride, name=name)(inputs)
        return self._layer(FusedBatchNorm, name=norm)(values)

    def _layer(self, kind: Any, **options: Any) -> Any:
        return kind(dtype=self.policy, **options)

    def places(self) -> Mapping[str, WeightPlace]:
        """Layer by layer."""
        return {
            name: WeightPlace("/".join(place.name.rsplit(".", 1)), place.axes)
            for name, place in mirrored(self.original.network, KERAS).items()
        }

    def loss(self, network: Any, batch: Arrays) -> tf.Tensor:
        """Mean cross entropy, with label smoothing."""
        smoothing = self.recipe.training.regularisation.label_smoothing
        scores = self._scores(network, batch, training=True)
        classes = scores.shape[-1]
        targets = tf.one_hot(batch["label"], classes) * (1 - smoothing) + smoothing / classes
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, scores))

    def judge(self, network: Any, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """Which images got their class."""
        best = tf.argmax(self._scores(network, batch, training=False), axis=-1)
        return {"top1": (tf.equal(best, tf.cast(batch["label"], best.dtype)),)}

    def _scores(self, network: Any, batch: Arrays, *, training: bool) -> tf.Tensor:
        image = tf.transpose(batch["image"], (0, 2, 3, 1))
        return tf.cast(network(image, training=training), tf.float32)

"""The dynamic loss scale of float16, on the device, with torch's rule and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

INITIAL, GROWTH, BACKOFF, INTERVAL = 2.0**16, 2.0, 0.5, 2000
"""`torch.amp.GradScaler`'s defaults."""


class LossScale:
    """Multiplies the loss, so that small gradients do not vanish in float16; steps that overflow are left out."""

    def __init__(self) -> None:
        self.scale = tf.Variable(INITIAL, dtype=tf.float32, trainable=False)
        self.good_steps = tf.Variable(0, dtype=tf.int32, trainable=False)
        """Since the scale last changed."""

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"scale/value": self.scale, "scale/good_steps": self.good_steps}

    def finite(self, gradients: Mapping[str, Any]) -> Any:
        """Whether all of them are; a scalar of bool."""
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(one)) for one in gradients.values()])

    def update(self, finite: Any) -> None:
        """Halve the scale after a step that was left out; double it after so many that were not."""
        good = tf.where(finite, self.good_steps + 1, 0)
        grown = self.scale * GROWTH
        grows = (good >= INTERVAL) & tf.math.is_finite(grown)
        self.scale.assign(tf.where(finite, tf.where(grows, grown, self.scale), self.scale * BACKOFF))
        self.good_steps.assign(tf.where(good >= INTERVAL, 0, good))

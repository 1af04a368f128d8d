"""What really runs in a traced function, and what a product of the device keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from hardware.precision.ladder import convolution_bits, matmul_bits

PRODUCTS = frozenset(
    {
        *("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"),
        *("Conv2D", "Conv2DBackpropFilter", "Conv2DBackpropInput"),
        *("DepthwiseConv2dNative", "Conv3D", "Conv3DBackpropFilterV2", "Conv3DBackpropInputV2"),
    }
)
"""TensorFlow's operations that multiply and add; their attribute `T` is the type in which they do."""


def product_types(graph: Any) -> list[str]:
    """Types in which a graph, with the functions it calls, multiplies; by name, sorted."""
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for one in definition.library.function for node in one.node_def)]
    return sorted({tf.as_dtype(node.attr["T"].type).name for node in nodes if node.op in PRODUCTS})


def kept_bits(device: str, *, xla: bool) -> tuple[int, int]:
    """Bits behind the point that products of float32 matrices and float32 convolutions keep.

    Args:
        device: as `tf.device` takes it.
        xla: whether XLA compiles them, as it does the step.
    """
    product = tf.function(tf.matmul, autograph=False, jit_compile=xla)

    def convolved(pictures: Any, kernels: Any) -> Any:
        return tf.nn.conv2d(pictures, kernels, strides=1, padding="VALID")

    convolution = tf.function(convolved, autograph=False, jit_compile=xla)

    def multiply(left: Any, right: Any) -> Any:
        with tf.device(device):
            return product(tf.identity(left), tf.identity(right)).numpy()

    def convolve(pictures: Any, kernels: Any) -> Any:
        with tf.device(device):
            own = tf.identity(pictures.transpose(0, 2, 3, 1)), tf.identity(kernels.transpose(2, 3, 1, 0))
            return np.transpose(convolution(*own).numpy(), (0, 3, 1, 2))

    return matmul_bits(multiply), convolution_bits(convolve)

"""What fakes of vendors' engines compute with: the real graph on the host, with weights as narrow as was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

if TYPE_CHECKING:
    from vendor_graphs import HostGraph


def narrowed(model: bytes, kind: str) -> bytes:
    """The graph with every float32 weight rounded to a narrower type and back, so that the outputs show it."""
    graph = onnx.load_model_from_string(model)
    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            rounded = _rounded(onnx.numpy_helper.to_array(tensor), kind)
            tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))
    return bytes(graph.SerializeToString())


def _rounded(array: np.ndarray, kind: str) -> np.ndarray:
    if kind == "float16":
        return array.astype(np.float16).astype(np.float32)
    if kind == "bfloat16":
        return (array.view(np.uint32) + 0x8000 & 0xFFFF0000).astype(np.uint32).view(np.float32)
    assert kind == "int8"
    scale = max(float(np.abs(array).max()), 1e-12) / 127
    return (np.round(array / scale) * scale).astype(np.float32)


def ran(graph: HostGraph, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Outputs of the graph for its inputs in order; types must be the graph's own."""
    feeds = {one.name: array for one, array in zip(graph.inputs, arrays, strict=True)}
    for name, array in feeds.items():
        assert array.dtype == graph.dtype(name) and list(array.shape) == graph.shape(name), name
    return graph.run(feeds)

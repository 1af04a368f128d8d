"""The types that OpenVINO's CPU plugin multiplies in, read from the graph that it runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hardware.precision.evidence import Evidence

PRODUCTS = {"Convolution": 1, "Deconvolution": 1, "FullyConnected": 1, "MatMul": 1, "Interaction": 1} | {
    **{"LLMMLP": 3, "QKVProjection": 3, "MHA": 2, "ScaledDotProductAttention": 2, "ScaledAttn": 2},
    **{"RNNSeq": 1, "RNNCell": 1, "LSTMSequence": 1, "LSTMCell": 1, "GRUSequence": 1, "GRUCell": 1},
}
"""Layers of the plugin (its `layerType`) to the products in each."""
FUSED = "Subgraph"
"""A layer that the plugin generates code for; it may hold products of the model's."""
INSIDE = {"MatMul": 1, "ScaledDotProductAttention": 2}
"""The model's operators that a generated layer may hold."""
BETWEEN = frozenset({"Reorder", "Convert", "Transpose", "Reshape"})
"""What may stand between a weight and the product."""
NAMES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "i8": "int8", "u8": "int8", "i4": "int4", "u4": "int4"}
"""OpenVINO's names of types that products have to ours."""
WIDTHS = ("float32", "float16", "bfloat16", "int8", "int4")


def evidence_of(model: Any, compiled: Any) -> Evidence:
    """What every product is computed in, and what its weights are kept in.

    Args:
        model: openvino.Model that was compiled; names the operators inside generated layers.
        compiled: openvino.CompiledModel.
    """
    inside = {one.get_friendly_name(): INSIDE.get(one.get_type_name(), 0) for one in model.get_ops()}
    weights: set[str] = set()
    compute: Counter[str] = Counter()
    for layer in compiled.get_runtime_model().get_ordered_ops():
        kind = _told(layer, "layerType")
        operands = [one.get_source_output().get_node() for one in layer.inputs()]
        if kind == FUSED:
            names = _told(layer, "originalLayersNames").split(",")
            compute[_widest(operands)] += sum(inside.get(name, 0) for name in names)
            continue
        if kind not in PRODUCTS:
            continue
        compute[_named(layer, "runtimePrecision")] += PRODUCTS[kind]
        weights |= {kept for one in operands[1:2] if (kept := _weight(one)) is not None}
    compute = +compute
    return Evidence.counted(weights, compute)


def _widest(operands: list[Any]) -> str:
    """The widest type among a generated layer's operands: which of them it multiplies is not told."""
    types = {_named(one, "outputPrecisions") for one in operands}
    return next((name for name in WIDTHS if name in types), "other")


def _weight(node: Any) -> str | None:
    """The type in which an operand is kept; None where it is computed."""
    while _told(node, "layerType") in BETWEEN:
        node = node.input(0).get_source_output().get_node()
    return _named(node, "outputPrecisions") if _told(node, "layerType") == "Const" else None


def _named(node: Any, key: str) -> str:
    told = _told(node, key)
    return NAMES.get(told, told)


def _told(node: Any, key: str) -> str:
    values = node.get_rt_info()
    return str(values[key].astype(str)) if key in values else ""

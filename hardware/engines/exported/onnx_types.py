"""The types that an ONNX model multiplies in, read from its graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from hardware.precision.evidence import Evidence

PRODUCTS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "LSTM", "GRU", "Attention"})
INTEGER_PRODUCTS = frozenset({"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul"})
DEQUANTIZE = "DequantizeLinear"
NAMES = {1: "float32", 2: "uint8", 3: "int8", 10: "float16", 11: "float64", 16: "bfloat16", 17: "float8_e4m3fn"}
"""ONNX's numbers of element types (onnx.TensorProto.DataType) to torch's names."""


def evidence_of(path: Path) -> Evidence:
    """What the operands of every product are, from the graph as it is given to the engine.

    A product whose operands all come out of DequantizeLinear is one of integers: engines fuse the three. What a Cast
    narrows is kept in the type before it and multiplied in the type after it.
    """
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    onnx.checker.check_model(str(path))
    inferred = onnx.shape_inference.infer_shapes(model)
    types = _types(inferred.graph)
    made_by = {output: node for node in inferred.graph.node for output in node.output}
    weights: Counter[str] = Counter()
    compute: Counter[str] = Counter()
    for node in inferred.graph.node:
        found = _product(node, types, made_by)
        if found is not None:
            weights[found[0]] += 1
            compute[found[1]] += 1
    told = ", ".join(f"{count} of {compute.total()} products in {name}" for name, count in compute.most_common())
    return Evidence(weights=tuple(sorted(weights)), compute=tuple(sorted(compute)), source="graph", detail=told)


def _types(graph: Any) -> dict[str, str]:
    valued = (*graph.value_info, *graph.input, *graph.output)
    types = {one.name: NAMES.get(one.type.tensor_type.elem_type, "other") for one in valued}
    return types | {one.name: NAMES.get(one.data_type, "other") for one in graph.initializer}


def _product(node: Any, types: dict[str, str], made_by: dict[str, Any]) -> tuple[str, str] | None:
    """Types of the second operand and of the computation; None where the node is no product."""
    if node.op_type in INTEGER_PRODUCTS:
        return "int8", "int8"
    if node.op_type not in PRODUCTS:
        return None
    operands = [made_by.get(name) for name in node.input[:2]]
    if all(one is not None and one.op_type == DEQUANTIZE for one in operands):
        kept = {types.get(one.input[0], "other") for one in operands if one is not None}
        if kept <= {"int8", "uint8"}:
            return "int8", "int8"
    kept = node.input[1]
    while (cast := made_by.get(kept)) is not None and cast.op_type == "Cast":
        kept = cast.input[0]
    return types.get(kept, "unknown"), types.get(node.input[1], "unknown")

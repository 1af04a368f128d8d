"""The types that an ONNX model multiplies in, read from its graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hardware.precision.evidence import Evidence

PRODUCTS = frozenset(
    {"Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "RNN", "LSTM", "GRU", "Attention", "MultiHeadAttention"}
    | {"FusedConv", "FusedMatMul", "FusedGemm", "NhwcFusedConv", "GroupQueryAttention"}
)
"""ONNX's operators, and those of ONNX Runtime (docs/ContribOperators.md) that it fuses them to."""
INTEGER_PRODUCTS = frozenset(
    {"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul", "QGemm", "QAttention"}
    | {"MatMulIntegerToFloat", "QLinearConvTranspose"}
)
DEQUANTIZE = "DequantizeLinear"
RESHAPING = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity"})
"""What may stand between a dequantised tensor and the product."""
NAMES = {1: "float32", 2: "uint8", 3: "int8", 10: "float16", 11: "float64", 16: "bfloat16", 17: "fp8", 21: "int4"} | {
    22: "int4"
}
"""ONNX's numbers of element types (onnx.TensorProto.DataType) to torch's names."""
EIGHT_BITS = {"int8": "int8", "uint8": "int8", "fp8": "fp8"}
"""What a product whose operands are kept in a type is called."""


def evidence_of(path: Path, *, fused: bool = False) -> Evidence:
    """What the operands of every product are kept and multiplied in.

    What a Cast narrows is kept in the type before it, and multiplied in the type after it.

    Args:
        path: the model.
        fused: whether it is the graph that is run. If not, it is one that an engine is given, which fuses a product
            whose operands all come out of DequantizeLinear to one of integers; if so, that one was left in a wider
            type, and only operators of integers compute in them.
    """
    import onnx

    onnx.checker.check_model(str(path))
    model = onnx.load(str(path), load_external_data=False)
    graph = onnx.shape_inference.infer_shapes(model).graph
    reader = _Reader(graph, fused=fused)
    found = [types for node in _nodes(graph) if (types := reader.product(node)) is not None]
    compute = Counter(computed for _, computed in found)
    weights = {kept for kept, _ in found}
    return Evidence.counted(weights, compute)


class _Reader:
    """The types of a graph's tensors, and which node makes each."""

    def __init__(self, graph: Any, *, fused: bool) -> None:
        self.fused = fused
        self.types: dict[str, str] = {}
        for one in _graphs(graph):
            for value in (*one.value_info, *one.input, *one.output):
                self.types[value.name] = NAMES.get(value.type.tensor_type.elem_type, "other")
            self.types |= {value.name: NAMES.get(value.data_type, "other") for value in one.initializer}
        self.made_by = {output: node for node in _nodes(graph) for output in node.output}

    def product(self, node: Any) -> tuple[str, str] | None:
        """Types in which the second operand is kept and the product computed; None where the node is no product."""
        if node.op_type in INTEGER_PRODUCTS:
            return "int8", "int8"
        if node.op_type not in PRODUCTS:
            return None
        first, second = (self._kept(name) for name in (*node.input[:2], *node.input[:1])[:2])
        multiplied = self.types.get(node.input[min(1, len(node.input) - 1)], "unknown")
        narrow = {EIGHT_BITS.get(one or "") for one in (first, second)}
        if not self.fused and None not in narrow and len(narrow) == 1:
            return EIGHT_BITS[second or ""], EIGHT_BITS[second or ""]
        return EIGHT_BITS.get(second or "", second) or self._cast_from(node, multiplied), multiplied

    def _kept(self, name: str) -> str | None:
        """Type of what a tensor is dequantised from; None where it is not."""
        node = self.made_by.get(name)
        while node is not None and node.op_type in RESHAPING:
            node = self.made_by.get(node.input[0])
        return self.types.get(node.input[0]) if node is not None and node.op_type == DEQUANTIZE else None

    def _cast_from(self, node: Any, multiplied: str) -> str:
        """Floating-point type in which the second operand is kept, before any Cast; else that of the product."""
        made = self.made_by.get(node.input[min(1, len(node.input) - 1)])
        while made is not None and made.op_type in RESHAPING:
            made = self.made_by.get(made.input[0])
        before = self.types.get(made.input[0], "unknown") if made is not None and made.op_type == "Cast" else multiplied
        return before if "float" in before else multiplied


def _nodes(graph: Any) -> Iterator[Any]:
    for one in _graphs(graph):
        yield from one.node


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph, and those inside its loops and branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g,) if attribute.HasField("g") else attribute.graphs:
                yield from _graphs(inner)

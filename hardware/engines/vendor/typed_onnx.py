"""An ONNX file in which every type is as the precision means it, for engines that compute in the types of the graph.

What is written into the graph leaves a compiler nothing to choose, and can be read back as evidence.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware.base import PrecisionUnsupportedError
from hardware.engines.exported.onnx_file import LARGE_BYTES, NAME, Exported, onnx_file
from hardware.engines.exported.onnx_int8 import quantised
from hardware.engines.exported.onnx_types import PRODUCTS
from hardware.engines.graph import Graph, Placement, keep

if TYPE_CHECKING:
    import onnx

BFLOAT16_OPSET = 22
"""First version of the operators in which convolutions take bfloat16."""
KEEPS_FLOAT = {"Resize": (1, 2)}
"""Operators with inputs that ONNX has in float32 alone, and which."""


def typed_onnx(graph: Graph, placement: Placement) -> Exported:
    """The graph in the precision's types, with the shapes of its inputs; kept in the placement's folder.

    - fp32, tf32: float32 throughout.
    - fp16, bf16: weights and everything between products in float32; what is multiplied is cast before, and cast back
      after.
    - fp16_true, bf16_true: inputs, weights and outputs alike in 16 bits.
    - int8: operands of products through QuantizeLinear and DequantizeLinear, by the calibration's ranges.

    Raises:
        PrecisionUnsupportedError: any other precision.
        UnsupportedGraphError: the network does not export.
        ValueError: int8 without calibration batches.
    """
    precision = placement.precision
    if precision.served not in (None, "int8"):
        raise PrecisionUnsupportedError(f"no ONNX graph is written in {precision.served} here")
    exported = onnx_file(graph, placement)
    if precision.served == "int8":
        return quantised(exported, graph, placement, method="minmax", signed=True, products_alone=True)
    if precision.weights == "float32" and precision.autocast is None:
        return exported
    folder = placement.folder / f"onnx_{precision.name}"
    began_s = time.perf_counter()

    def write(draft: Path) -> None:
        import onnx

        model, to = onnx.load(str(exported.path)), _element_type(precision.autocast or precision.weights)
        if to == onnx.TensorProto.BFLOAT16:
            model = onnx.version_converter.convert_version(model, BFLOAT16_OPSET)
        (cast_products if precision.autocast is not None else cast_all)(model, to)
        save(model, draft)

    if not keep(folder, write):
        return Exported(folder / NAME, None, "an earlier run had exported it")
    return Exported(folder / NAME, (exported.seconds or 0.0) + time.perf_counter() - began_s, None)


def save(model: onnx.ModelProto, folder: Path) -> None:
    """Write a model into a folder of its own; large weights are a second file."""
    import onnx

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    large = model.ByteSize() >= LARGE_BYTES
    onnx.save(model, str(folder / NAME), save_as_external_data=large, location=f"{NAME}.data" if large else None)


def cast_products(model: onnx.ModelProto, to: int) -> None:
    """Cast the float32 operands of every product to a 16-bit type, and its outputs back."""
    import onnx

    graph, nodes = model.graph, []
    types = _types(model)
    for number, node in enumerate(graph.node):
        if node.op_type not in PRODUCTS:
            nodes.append(node)
            continue
        for place, name in enumerate(node.input):
            if types.get(name) == onnx.TensorProto.FLOAT:
                node.input[place] = f"{name}_{number}_{place}_cast"
                nodes.append(onnx.helper.make_node("Cast", [name], [node.input[place]], to=to))
        nodes.append(node)
        for place, name in enumerate(node.output):
            if types.get(name) == onnx.TensorProto.FLOAT:
                node.output[place] = f"{name}_narrow"
                nodes.append(onnx.helper.make_node("Cast", [node.output[place]], [name], to=onnx.TensorProto.FLOAT))
    del graph.node[:]
    graph.node.extend(nodes)


def cast_all(model: onnx.ModelProto, to: int) -> None:
    """Turn every float32 tensor into a 16-bit one: inputs, weights, constants, outputs."""
    import onnx

    graph, single = model.graph, onnx.TensorProto.FLOAT
    wide = {name for node in graph.node for name in _kept_wide(node)}
    for one in (*graph.input, *graph.output, *graph.value_info):
        if one.type.tensor_type.elem_type == single and one.name not in wide:
            one.type.tensor_type.elem_type = to
    for tensor in graph.initializer:
        if tensor.data_type == single and tensor.name not in wide:
            tensor.CopyFrom(_narrowed(tensor, to))
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == single:
                attribute.i = to
            elif attribute.name == "value" and attribute.t.data_type == single and not wide & {*node.output}:
                attribute.t.CopyFrom(_narrowed(attribute.t, to))


def _kept_wide(node: Any) -> list[str]:
    places = KEEPS_FLOAT.get(node.op_type, ())
    return [node.input[place] for place in places if place < len(node.input)]


def _narrowed(tensor: Any, to: int) -> Any:
    import onnx

    array = onnx.numpy_helper.to_array(tensor)
    return onnx.numpy_helper.from_array(array.astype(onnx.helper.tensor_dtype_to_np_dtype(to)), tensor.name)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    valued = (*graph.value_info, *graph.input, *graph.output)
    found = {one.name: one.type.tensor_type.elem_type for one in valued}
    return found | {one.name: one.data_type for one in model.graph.initializer}


def _element_type(name: str) -> int:
    import onnx

    return int({"float16": onnx.TensorProto.FLOAT16, "bfloat16": onnx.TensorProto.BFLOAT16}[name])

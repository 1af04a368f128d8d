"""What an ONNX graph multiplies in: float, quantised in whole, in part, and as it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hardware.engines.exported.onnx_types import evidence_of

FLOAT = TensorProto.FLOAT


def saved(tmp_path: Path, nodes: list[Any], constants: dict[str, Any], typed: int = FLOAT) -> Path:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", typed, [2, 4])],
        [helper.make_tensor_value_info("y", typed, [2, 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def quantised_activation(source: str, name: str) -> list[Any]:
    return [
        helper.make_node("QuantizeLinear", [source, "scale", "zero"], [f"{name}_q"]),
        helper.make_node("DequantizeLinear", [f"{name}_q", "scale", "zero"], [name]),
    ]


def dequantised(stored: str, name: str) -> Any:
    return helper.make_node("DequantizeLinear", [stored, "scale", "zero_w"], [name])


SCALES = {"scale": np.float32(0.1), "zero": np.uint8(128), "zero_w": np.int8(0)}
STORED = np.ones((4, 4), np.int8)


@pytest.mark.parametrize(
    ("dtype", "typed", "name"),
    [(np.float32, FLOAT, "float32"), (np.float16, TensorProto.FLOAT16, "float16")],
)
def test_a_float_product_is_of_its_operands_type(tmp_path: Path, dtype: Any, typed: int, name: str) -> None:
    path = saved(tmp_path, [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((4, 4), dtype)}, typed)
    found = evidence_of(path)
    assert (found.weights, found.compute, found.source) == ((name,), (name,), "graph")
    assert found.detail == f"1 of 1 products in {name}"


def test_only_some_products_are_quantised(tmp_path: Path) -> None:
    nodes = [
        *quantised_activation("x", "a"),
        dequantised("stored", "w"),
        helper.make_node("MatMul", ["a", "w"], ["first"]),
        helper.make_node("MatMul", ["first", "wide"], ["y"]),
    ]
    path = saved(tmp_path, nodes, {**SCALES, "stored": STORED, "wide": np.ones((4, 4), np.float32)})
    found = evidence_of(path)
    assert (found.weights, found.compute) == (("float32", "int8"), ("float32", "int8"))
    assert "1 of 2 products in int8" in found.detail


def test_a_weight_that_is_transposed_after_it_was_dequantised_is_one_of_integers(tmp_path: Path) -> None:
    nodes = [
        *quantised_activation("x", "a"),
        dequantised("stored", "w"),
        helper.make_node("Transpose", ["w"], ["turned"]),
        helper.make_node("MatMul", ["a", "turned"], ["y"]),
    ]
    assert evidence_of(saved(tmp_path, nodes, {**SCALES, "stored": STORED})).compute == ("int8",)


def test_weights_alone_in_integers_are_multiplied_in_float(tmp_path: Path) -> None:
    nodes = [dequantised("stored", "w"), helper.make_node("MatMul", ["x", "w"], ["y"])]
    found = evidence_of(saved(tmp_path, nodes, {**SCALES, "stored": STORED}))
    assert (found.weights, found.compute) == (("int8",), ("float32",))


def test_what_a_session_left_unfused_computes_in_float(tmp_path: Path) -> None:
    nodes = [*quantised_activation("x", "a"), dequantised("stored", "w"), helper.make_node("MatMul", ["a", "w"], ["y"])]
    path = saved(tmp_path, nodes, {**SCALES, "stored": STORED})
    assert evidence_of(path).compute == ("int8",)
    found = evidence_of(path, fused=True)
    assert (found.weights, found.compute) == (("int8",), ("float32",))


def test_products_inside_a_branch_count(tmp_path: Path) -> None:
    out = helper.make_tensor_value_info("b", FLOAT, [2, 4])
    branch = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["b"])], "branch", [], [out])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["b"])], "other", [], [out])
    node = helper.make_node("If", ["go"], ["y"], then_branch=branch, else_branch=other)
    path = saved(tmp_path, [node], {"go": np.bool_(True), "w": np.ones((4, 4), np.float32)})
    assert evidence_of(path).detail == "1 of 1 products in float32"

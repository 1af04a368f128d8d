"""The types that a StableHLO module multiplies in, read from its text."""

from __future__ import annotations

import re
from collections import Counter

from hardware.engines.compiled import Coverage
from hardware.precision.evidence import Evidence

PRODUCT = re.compile(
    r'"?stablehlo\.(?:dot_general|dot|convolution|dynamic_conv)\b.*'
    r": \(tensor<(?P<first>[^>]*)>, tensor<(?P<second>[^>]*)>[^)]*\) ->"
)
OPERATION = re.compile(r'^\s*(?:%\S+(?:, %\S+)* = )?"?(?P<name>(?:stablehlo|chlo|tensor|arith|math|shape)\.\w+)')
NOT_COUNTED = frozenset({"stablehlo.constant", "stablehlo.return", "arith.constant"})
NAMES = {"f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16", "i8": "int8", "ui8": "int8"}
"""MLIR's names of element types to torch's."""


def evidence_of(text: str) -> Evidence:
    """What the operands of every product are: `tensor<8x3x224x224xf32>` is of float32."""
    found = [one for line in text.splitlines() if (one := PRODUCT.search(line)) is not None]
    compute = Counter(_element(one["first"]) for one in found)
    weights = {_element(one["second"]) for one in found}
    told = ", ".join(f"{count} of {compute.total()} products in {name}" for name, count in compute.most_common())
    return Evidence(weights=tuple(sorted(weights)), compute=tuple(sorted(compute)), source="graph", detail=told)


def coverage_of(text: str) -> Coverage:
    """Every operation: the compiler takes all of a module or none."""
    names = (found["name"] for line in text.splitlines() if (found := OPERATION.match(line)) is not None)
    count = sum(name not in NOT_COUNTED for name in names)
    return Coverage(taken=count, total=count, subgraphs=1)


def _element(tensor: str) -> str:
    name = tensor.rpartition("x")[2]
    return NAMES.get(name, name)

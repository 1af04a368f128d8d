"""The text of a StableHLO module: the types it multiplies in, its operations, and a form of it that IREE compiles."""

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
CONVOLUTION = re.compile(
    r"stride = \[(?P<stride>[^\]]*)\], pad = \[(?P<pad>\[.*?\])\], rhs_dilate = \[(?P<dilation>[^\]]*)\].*"
    r": \(tensor<(?P<image>[^>]*)>, tensor<(?P<kernel>[^>]*)>\) -> tensor<(?P<found>[^>]*)>"
)
CHANNELS_FIRST = "dim_numbers = [b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1]"
NOT_COUNTED = frozenset({"stablehlo.constant", "stablehlo.return", "arith.constant"})
NAMES = {"f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16", "i8": "int8", "ui8": "int8"}
"""MLIR's names of element types to torch's."""


def evidence_of(text: str) -> Evidence:
    """What the operands of every product are: `tensor<8x3x224x224xf32>` is of float32."""
    found = [one for line in text.splitlines() if (one := PRODUCT.search(line)) is not None]
    compute = Counter(_element(one["first"]) for one in found)
    weights = {_element(one["second"]) for one in found}
    return Evidence.counted(weights, compute)


def coverage_of(text: str) -> Coverage:
    """Every operation: the compiler takes all of a module or none."""
    names = (found["name"] for line in text.splitlines() if (found := OPERATION.match(line)) is not None)
    count = sum(name not in NOT_COUNTED for name in names)
    return Coverage(taken=count, total=count, subgraphs=1)


def trimmed(text: str) -> str:
    """The module without padding that no window reaches, which gives the same outputs.

    IREE 3.13 folds the extent of a convolution's output where it is 1 and then finds such padding too many
    ("inferred input/output operand has shape's dimension").
    """
    return "\n".join(_trimmed(line) if CHANNELS_FIRST in line else line for line in text.split("\n"))


def _trimmed(line: str) -> str:
    found = CONVOLUTION.search(line)
    if found is None:
        return line
    strides, dilations = _numbers(found["stride"]), _numbers(found["dilation"])
    pads = [_numbers(one) for one in found["pad"].strip("[]").split("], [")]
    image, kernel, output = (_numbers(found[name].rpartition("x")[0], "x")[2:] for name in ("image", "kernel", "found"))
    for axis, (before, after) in enumerate(pads):
        reached = (output[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        unread = before + image[axis] + after - reached
        pads[axis] = [before, after - min(after, unread)]
    start, end = found.span("pad")
    return f"{line[:start]}{', '.join(map(str, pads))}{line[end:]}"


def _numbers(text: str, between: str = ",") -> list[int]:
    return [int(one) for one in text.split(between)]


def _element(tensor: str) -> str:
    name = tensor.rpartition("x")[2]
    return NAMES.get(name, name)

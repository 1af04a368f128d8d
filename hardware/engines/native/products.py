"""The products that torch really runs, with the types of their operands: what a precision is held to.

This module imports torch; engines import it where they compile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from hardware.precision.evidence import Evidence, in_words

aten = torch.ops.aten
OUT_DTYPE = "out_dtype"
"""Higher-order operator by which a product of integers is asked for sums of 32 bits."""
INT4 = ("_weight_int4pack_mm", "_weight_int4pack_mm_for_cpu")
"""Products of activations as they are and packed 4-bit weights."""
INTEGERS = ("_int_mm", OUT_DTYPE)
ADDED = ("addmm", "baddbmm")
"""Their first tensor is added to the product."""
NARROW = {torch.int8: "int8", torch.uint8: "int8", torch.float8_e4m3fn: "fp8", torch.float8_e4m3fnuz: "fp8"}
WIDE = frozenset({torch.int16, torch.int32, torch.int64, torch.bool})
"""Of index arithmetic, or of a quantised product that was computed without the instructions for it."""


class Product(NamedTuple):
    """One product of a run."""

    weights: str
    """Type of the second operand as it is multiplied: torch's name, or `int8`, `int4`, `fp8`."""
    compute: str
    """Type in which it is computed: of the wider operand."""
    flops: int
    """Multiply-add = 2."""


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every product of torch's dispatcher while it is in force.

    Operators that are made of others are taken apart, as torch's own FLOP counter does it; what is inside a fused or a
    generated kernel stays unseen.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Product] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        counted = _is_product(func)
        if not counted and isinstance(func, torch._ops.OpOverload):
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        outputs = func(*args, **kwargs)
        if counted:
            self.found.append(_product(func, args, kwargs, outputs))
        return outputs

    def add_graph(self, graph: torch.fx.Graph) -> None:
        """Note the products of a graph of ATen operators, as the compiler has it before it lowers them."""
        for node in graph.nodes:
            func = node.target
            if _is_product(func):
                args, kwargs = torch.fx.map_arg((node.args, node.kwargs), lambda one: one.meta["val"])
                self.found.append(_product(func, args, kwargs, node.meta["val"]))

    def share(self, dtype: str) -> float:
        """Share of all FLOPs whose second operand is of a type; 0 where nothing was multiplied."""
        total = sum(one.flops for one in self.found)
        return sum(one.flops for one in self.found if one.weights == dtype) / total if total else 0.0

    def evidence(self, *, weights: Iterable[str] | None = None, tf32: bool = False, detail: str = "") -> Evidence:
        """What was multiplied.

        Args:
            weights: types in which weights are kept, where they are cast for each product; None: the products' own.
            tf32: products of float32 tensors are computed in TF32.
            detail: what else is to be said.
        """
        counts = Counter("tf32" if tf32 and one.compute == "float32" else one.compute for one in self.found)
        kept = {one.weights for one in self.found} if weights is None else set(weights)
        return Evidence(
            weights=tuple(sorted(kept - {"integers"})),
            compute=tuple(sorted(set(counts) - {"integers"})),
            source="graph",
            detail=", ".join(filter(None, (in_words(counts), detail))),
        )


def products_of(call: Callable[[], Any]) -> Products:
    """Run a network once and note its products."""
    products = Products()
    with torch.no_grad(), products:
        call()
    return products


def _called(func: Any) -> str:
    """Name of an operator, whatever its overload."""
    return str(getattr(getattr(func, "_overloadpacket", func), "__name__", ""))


def _is_product(func: Any) -> bool:
    return _called(func) in (*INT4, *INTEGERS) or getattr(func, "_overloadpacket", None) in flop_registry


def _product(func: Any, args: Any, kwargs: Any, outputs: Any) -> Product:
    name = _called(func)
    operands = [one for one in args if isinstance(one, torch.Tensor)][1 if name in ADDED else 0 :][:2]
    left, right = (_name(one.dtype) for one in operands)
    if name in (*INT4, *INTEGERS):
        flops = 2 * outputs.numel() * operands[0].shape[-1]
    else:
        flops = flop_registry[func._overloadpacket](*args, **kwargs, out_val=outputs)
    if name in INT4:
        return Product("int4", left, flops)
    return Product(right, left if left == right else _wider(left, right), flops)


def _wider(left: str, right: str) -> str:
    """Of an 8-bit and a floating-point operand the latter; anything else is told as it is."""
    narrow = set(NARROW.values())
    if left in narrow and right not in narrow:
        return right
    return left if right in narrow else f"{left} x {right}"


def _name(dtype: torch.dtype) -> str:
    return "integers" if dtype in WIDE else NARROW.get(dtype, str(dtype).removeprefix("torch."))

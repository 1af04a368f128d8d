"""Which nodes of a program ExecuTorch's delegate took, and what products are computed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from hardware.engines.compiled import Coverage
from hardware.precision.evidence import Evidence

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Graph, Node

PRODUCTS = ("aten.convolution", "aten.linear", "aten.addmm", "aten.mm", "aten.bmm", "aten.matmul", "aten.baddbmm")
DELEGATE = "executorch_call_delegate"
DEQUANTIZE = "dequantize_per_"


def coverage_of(program: ExportedProgram) -> Coverage:
    """What XNNPACK took of a partitioned program; every other node runs on ExecuTorch's portable kernels.

    Args:
        program: the edge program, after partitioning and before memory is planned.
    """
    own = list(_calls(program.graph))
    left = [name for node in own if (name := _name(node)) != DELEGATE]
    taken = sum(1 for inner in _delegated(program) for _ in _calls(inner))
    pieces = sum(len(list(run)) if is_delegate else 1 for is_delegate, run in groupby(own, _is_delegate))
    return Coverage(
        taken=taken,
        total=taken + len(left),
        fallbacks={name: f"{count} left to portable kernels" for name, count in Counter(left).items()},
        subgraphs=pieces,
    )


def evidence_of(program: ExportedProgram) -> Evidence:
    """What the second operand of every product is kept in, and what the product is computed in.

    XNNPACK computes a product of dequantised operands in their integers; portable kernels compute it in float32.
    """
    weights: set[str] = set()
    compute: Counter[str] = Counter()
    for graph, fuses in ((program.graph, False), *((inner, True) for inner in _delegated(program))):
        for node in _calls(graph):
            if not _name(node).startswith(PRODUCTS):
                continue
            operands = (
                node.all_input_nodes[1:3] if _name(node).startswith(("aten.addmm", "aten.baddbmm")) else node.args
            )
            first, second = operands[:2]
            kept = [_kept(one) for one in (first, second)]
            weights.add(kept[1])
            compute[kept[1] if fuses and kept[0] == kept[1] else _dtype(second)] += 1
    return Evidence.counted(weights, compute)


def _delegated(program: ExportedProgram) -> Iterator[Graph]:
    """The graphs that the delegate took, as they were given to it."""
    for node in program.graph.nodes:
        if node.op == "get_attr" and hasattr(lowered := getattr(program.graph_module, node.target), "original_module"):
            yield lowered.original_module.graph


def _calls(graph: Graph) -> Iterator[Node]:
    """What computes: not the picking of one output among several."""
    return (node for node in graph.nodes if node.op == "call_function" and _name(node) != "getitem")


def _is_delegate(node: Node) -> bool:
    return _name(node) == DELEGATE


def _name(node: Node) -> str:
    """`aten.convolution.default`."""
    return str(getattr(node.target, "__name__", node.target))


def _kept(node: Any) -> str:
    """The type that an operand is kept in: that of the integers where it is dequantised."""
    return _dtype(node.args[0] if DEQUANTIZE in _name(node) else node)


def _dtype(node: Any) -> str:
    return str(node.meta["val"].dtype).removeprefix("torch.")

"""`compiler=torchscript`: a traced network, frozen and optimised by TorchScript."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from hardware.engines.base import Engine
from hardware.engines.compiled import Coverage, Made
from hardware.engines.graph import Graph, Placement
from hardware.engines.native.network import TRUE, NativeCompiled, Placed

if TYPE_CHECKING:
    from torch.jit import ScriptModule

CALLS = 3
"""Until the profiling executor has specialised the graph and made its kernels."""


class Torchscript(Engine):
    """torch.jit: trace, freeze, optimize_for_inference.

    It has no mixed precision: freezing computes autocast's casts of weights beforehand, and what is left is a network
    with narrow weights, which is what `*_true` asks for.
    """

    precisions: ClassVar[tuple[str, ...]] = TRUE

    def compile(self, graph: Graph, placement: Placement) -> NativeCompiled:
        """Trace on the device, then optimise; the executor's own work at the first calls counts as compiling."""
        import torch

        placed = Placed(graph, placement)
        inputs = placed.place(graph.inputs)
        began_s = time.perf_counter()
        with _recording():
            traced = torch.jit.trace(placed.network, inputs, check_trace=False)  # type: ignore[no-untyped-call]
            traced_s = time.perf_counter()
            script = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        for _ in range(CALLS):
            for one in placed.run(script, inputs):
                one.cpu()
        compiled_s = time.perf_counter()
        made = Made(compile_s=compiled_s - traced_s, export_s=traced_s - began_s, coverage=coverage_of(script))
        return NativeCompiled(placed, script, made)  # fused nodes hide their products: those of what was traced count


@contextmanager
def _recording() -> Iterator[None]:
    """No gradients, and no word about shapes that are fixed: they are what is served."""
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit._trace.TracerWarning)
        warnings.filterwarnings("ignore", message=r".*torch\.jit\..* is deprecated")
        yield


def coverage_of(script: ScriptModule) -> Coverage:
    """Every operator of the graph runs in TorchScript's interpreter or in what it fused; none is left to Python."""
    kinds = [node.kind() for node in script.inlined_graph.nodes()]
    operators = [kind for kind in kinds if not kind.startswith(("prim::Constant", "prim::ListConstruct"))]
    python = [kind for kind in operators if kind == "prim::PythonOp"]
    return Coverage(
        taken=len(operators) - len(python),
        total=len(operators),
        fallbacks=dict.fromkeys(python, "a Python function, which the interpreter calls"),
        subgraphs=1,
    )

"""`compiler=torch_tensorrt`: the network as torch.export captures it, pieces of it compiled by TensorRT.

Its types are those of the captured program (`use_explicit_typing`; later versions know no other way), into which the
casts of fp16 and bf16 are written: torch.export does not record those of an autocast that is in force around it. TF32,
which is on by default, is off for every other precision. PyTorch runs what no converter takes; a dry run, which
partitions without building, tells what that is.

Sources: docs.pytorch.org/TensorRT, "CompilationSettings Reference" and torch_tensorrt.dynamo (2.6 and later; read
2026-11); pytorch/TensorRT py/torch_tensorrt/dynamo/_compiler.py (`_run_on_acc_`, `_run_on_gpu_`, dryrun).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.engines.base import Engine
from hardware.engines.compiled import Coverage, Made
from hardware.engines.exported.program import exported_program, unsupported
from hardware.engines.graph import Graph, Placement, Tensors
from hardware.engines.native.network import FLOATING, NativeCompiled, Placed, waiting_for
from hardware.engines.vendor.from_onnx import require_precision
from hardware.precision.evidence import Evidence, in_words
from hardware.spec import PrecisionSpec

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule

PRODUCTS = ("convolution", "conv1d", "conv2d", "conv3d", "linear", "addmm", "mm", "bmm", "baddbmm", "matmul")
"""ATen's operators that multiply, by name."""
ATTENTION = "scaled_dot_product_attention"
TAKEN, LEFT = "_run_on_acc", "_run_on_gpu"
"""How the pieces that TensorRT takes and those that PyTorch runs are named."""
HIGHEST_LEVEL = 5


class TorchTensorrt(Engine):
    """Compiled in this process; nothing is kept."""

    known_options: ClassVar[tuple[str, ...]] = ("level", "min_block_size", "require_full_compilation")
    precisions: ClassVar[tuple[str, ...]] = FLOATING[:-1]
    on_host: ClassVar[bool] = False
    modules: ClassVar[tuple[str, ...]] = ("torch_tensorrt",)
    packages: ClassVar[tuple[str, ...]] = ("torch-tensorrt", "tensorrt")
    obtained: ClassVar[str | None] = "pip install torch-tensorrt, in the version of the torch that is here"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.level = options.get("level", 3)
        if self.level not in range(HIGHEST_LEVEL + 1):
            raise ValueError(f"level={self.level} must be a whole number from 0 to {HIGHEST_LEVEL}")

    def compile(self, graph: Graph, placement: Placement) -> NativeCompiled:
        """Capture on the device, in the precision's types, and compile.

        Raises:
            PrecisionUnsupportedError: it cannot serve in the precision.
            UnsupportedGraphError: the network is not captured, or TensorRT builds no engine of a piece.
        """
        import torch_tensorrt

        require_precision(self, placement.precision)
        placed = Placed(graph, placement)
        inputs = placed.place(graph.inputs)
        began_s = time.perf_counter()
        program = captured(replace(graph, network=placed.network, inputs=inputs), placement.precision)
        exported_s = time.perf_counter() - began_s
        settings = self._settings(placement)
        try:
            coverage = coverage_of(torch_tensorrt.dynamo.compile(program, arg_inputs=inputs, dryrun=True, **settings))
            began_s = time.perf_counter()
            compiled = torch_tensorrt.dynamo.compile(program, arg_inputs=inputs, **settings)
        except (RuntimeError, AssertionError) as error:
            raise unsupported("torch_tensorrt", error) from error
        made = Made(
            compile_s=time.perf_counter() - began_s,
            export_s=exported_s,
            coverage=coverage,
            size_reason="the engines are kept in memory alone",
        )
        native = Pieces(placed, compiled, made, wait=waiting_for(placement.device))
        native.evidence = program_evidence(program, placement.precision)
        return native

    def _settings(self, placement: Placement) -> dict[str, Any]:
        return {
            "device": placement.device,
            "use_explicit_typing": True,
            "disable_tf32": placement.precision.matmul != "tf32",
            "min_block_size": self.options.get("min_block_size", 5),
            "require_full_compilation": self.options.get("require_full_compilation", False),
            "optimization_level": self.level,
            "cache_built_engines": False,
            "reuse_cached_engines": False,
        }


class Pieces(NativeCompiled):
    """Engines and what PyTorch runs between them; every cast is written into the program."""

    def run(self, placed: Tensors) -> Tensors:
        """Submit the forward pass, without autocast."""
        import torch

        with torch.inference_mode():
            return self._call(*placed)


def captured(graph: Graph, precision: PrecisionSpec) -> ExportedProgram:
    """The program, its float32 products cast to the type that autocast would choose, and back.

    Raises:
        UnsupportedGraphError: the network is not captured.
    """
    import torch

    program = exported_program(graph, "torch_tensorrt")
    if precision.autocast is None:
        return program
    module: Any = program.module()
    narrow, cast = getattr(torch, precision.autocast), torch.ops.aten.to.dtype
    for node in [one for one in module.graph.nodes if _multiplies(one)]:
        for operand in node.all_input_nodes:
            value = attrgetter(operand.target)(module) if operand.op == "get_attr" else operand.meta["val"]
            if value.dtype == torch.float32:
                with module.graph.inserting_before(node):
                    node.replace_input_with(operand, module.graph.call_function(cast, (operand, narrow)))
        with module.graph.inserting_after(node):
            wide = module.graph.call_function(cast, (node, torch.float32))
        node.replace_all_uses_with(wide, delete_user_cb=lambda user, wide=wide: user is not wide)
    module.recompile()
    return exported_program(replace(graph, network=module), "torch_tensorrt")


def coverage_of(partitioned: GraphModule) -> Coverage:
    """Which operators lie in the pieces that TensorRT takes, from a graph that was partitioned and not yet built."""
    pieces = dict(partitioned.named_children())
    taken = [one for name, piece in pieces.items() if name.startswith(TAKEN) for one in _operators(piece)]
    left = [one for name, piece in pieces.items() if name.startswith(LEFT) for one in _operators(piece)]
    left += _operators(partitioned)
    cut = sum(name.startswith((TAKEN, LEFT)) for name in pieces)
    return Coverage(
        taken=len(taken),
        total=len(taken) + len(left),
        fallbacks=dict.fromkeys(left, "left to PyTorch: no converter, or too few neighbours that have one"),
        subgraphs=cut or 1,
    )


def program_evidence(program: ExportedProgram, precision: PrecisionSpec) -> Evidence:
    """Types of what the captured program multiplies, which explicitly typed engines keep."""
    import torch

    compute: Counter[str] = Counter()
    for node in program.graph.nodes:
        if _multiplies(node):
            values = (one.meta.get("val") for one in node.all_input_nodes)
            first = next(one for one in values if isinstance(one, torch.Tensor))
            compute[str(first.dtype).removeprefix("torch.")] += 1
    weights = {str(one.dtype).removeprefix("torch.") for one in program.parameters() if one.is_floating_point()}
    tf32 = precision.matmul == "tf32"
    return Evidence(
        weights=tuple(sorted(weights)),
        compute=tuple(sorted("tf32" if tf32 and name == "float32" else name for name in compute)),
        source="asked" if tf32 else "graph",
        detail=in_words(compute),
    )


def _multiplies(node: Any) -> bool:
    name = str(node.target).split(".")[1] if node.op == "call_function" and "." in str(node.target) else ""
    return name in PRODUCTS or ATTENTION in name


def _operators(piece: Any) -> list[str]:
    nodes = piece.graph.nodes if hasattr(piece, "graph") else ()
    return [str(one.target) for one in nodes if one.op == "call_function" and "getitem" not in str(one.target)]

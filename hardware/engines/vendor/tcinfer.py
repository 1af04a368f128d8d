"""`compiler=tcinfer`: Hexaflake's hx-convert and its runtime tcinfer. Not verified on hardware.

Source: FlagPerf inference/inference_engine/hexaflake (runtime); Hexaflake's model zoo (compiler, its options).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.base import PrecisionUnsupportedError
from hardware.engines.base import EXISTING
from hardware.engines.compiled import Compiled
from hardware.engines.graph import Graph, Placement, Tensors
from hardware.engines.vendor.from_float import FromFloat, OnArrays
from hardware.engines.vendor.from_onnx import Built
from hardware.engines.vendor.tools import call

if TYPE_CHECKING:
    from hardware.engines.vendor.from_float import Arrays

COMPILER = "hx-convert"
JOB, JOBS, CONTEXT, MODEL = 0, 1, 0, 0
"""A request is one job of the static batch that the engine was compiled for; it has no context before it."""


class Tcinfer(FromFloat):
    """The compiler makes a float32 engine of ONNX; how it is asked for bfloat16 is not public: give such an engine."""

    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16")
    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "latency")
    modules: ClassVar[tuple[str, ...]] = ("tcinfer", "onnx", "onnxscript")
    packages: ClassVar[tuple[str, ...]] = ("tcinfer", "onnx", "onnxscript")
    commands: ClassVar[tuple[str, ...]] = (COMPILER,)
    engine_file: ClassVar[str] = "engine.ngf"

    def compile(self, graph: Graph, placement: Placement) -> Compiled:
        """Build or load.

        Raises:
            PrecisionUnsupportedError: bfloat16 without an engine in it.
        """
        if placement.precision.name == "bf16" and self.options.get(EXISTING) is None:
            raise PrecisionUnsupportedError(
                f"{COMPILER} has no public option for bfloat16: give an engine that was built in it, "
                f"compiler.{EXISTING}=FILE.ngf, or choose precision=fp32"
            )
        return super().compile(graph, placement)

    def build(self, model: Path, graph: Graph, placement: Placement, target: Path) -> None:
        """Run the compiler, for throughput unless `latency` asks for the shortest request."""
        shapes = (f"{name}:{list(one.shape)}" for name, one in zip(graph.input_names, graph.inputs, strict=True))
        command = [COMPILER, "compile", "--target", "aigpu", "--model-format", "onnx", "--output", str(target)]
        command += [str(model), "--input-shapes", ",".join(shapes).replace(" ", "")]
        call([*command, *(["--latency"] if self.options.get("latency") else [])], target)

    def load(self, built: Built, graph: Graph, placement: Placement) -> OnArrays:
        """Have the runtime load the engine on its device 0."""
        from tcinfer import TcInfer

        engine = TcInfer(str(built.path), use_cache=False, max_batch_size=JOBS, dev_ids=[0])
        bindings = [len(graph.input_names) + place for place in range(len(graph.output_names))]

        def execute(arrays: Arrays) -> Arrays:
            for name, array in zip(graph.input_names, arrays, strict=True):
                engine.set_input(JOB, name, array, MODEL)
            engine.run(JOBS, CONTEXT, MODEL)
            return [engine.get_output_by_binding_index(JOB, place, MODEL).copy() for place in bindings]

        return FromBits(built, execute)


class FromBits(OnArrays):
    """Outputs in bfloat16 come as 16-bit integers: NumPy has no such type."""

    def fetch(self, outputs: Any) -> Tensors:
        """The same memory, bfloat16 by its own name."""
        import torch

        return tuple(one.view(torch.bfloat16) if one.dtype == torch.uint16 else one for one in super().fetch(outputs))

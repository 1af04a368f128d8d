"""`compiler=poprt`: PopRT for Graphcore's IPUs. Not verified on hardware.

Source: ByteMLPerf general_perf/backends/IPU; graphcore/PopRT examples and benchmarks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.base import PrecisionUnsupportedError
from hardware.engines.base import EXISTING
from hardware.engines.compiled import Compiled
from hardware.engines.graph import Graph, Placement
from hardware.engines.vendor.from_float import FromFloat, OnArrays
from hardware.engines.vendor.from_onnx import Built

if TYPE_CHECKING:
    from hardware.engines.vendor.from_float import Arrays

CONVERTER = {"fp32": "fp32", "fp16_true": "fp16"}
"""The converter's names: its fp16 turns inputs, weights and outputs alike, which is fp16_true here."""
PARTIALS = ("float", "half")
"""Types in which sums of products are kept."""


class Poprt(FromFloat):
    """The converter writes the precision into the graph; the compiler makes one executable for one IPU of it."""

    precisions: ClassVar[tuple[str, ...]] = tuple(CONVERTER)
    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "partials", "compiler_options")
    modules: ClassVar[tuple[str, ...]] = ("poprt", "onnx", "onnxscript")
    packages: ClassVar[tuple[str, ...]] = ("poprt", "onnx", "onnxscript")
    engine_file: ClassVar[str] = "executable.popef"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.partials = str(options.get("partials", "float"))
        if self.partials not in PARTIALS:
            raise ValueError(f"partials={self.partials} is unknown; there are {', '.join(PARTIALS)}")

    def detail(self, graph: Graph, placement: Placement) -> str:
        """The converter's precision and the type of its sums."""
        return f"converted to {CONVERTER[placement.precision.name]}, sums in {self.partials}"

    def compile(self, graph: Graph, placement: Placement) -> Compiled:
        """Build or load.

        Raises:
            PrecisionUnsupportedError: float32 products whose sums would be kept in float16.
        """
        if placement.precision.name == "fp32" and self.partials == "half":
            raise PrecisionUnsupportedError("partials=half keeps sums of products in float16, which is not fp32")
        return super().compile(graph, placement)

    def build(self, model: Path, graph: Graph, placement: Placement, target: Path) -> None:
        """Convert, then compile for the IPU that is here."""
        import onnx
        from poprt import runtime
        from poprt.compiler import Compiler, CompilerOptions
        from poprt.converter import Converter

        shapes = dict(zip(graph.input_names, (list(one.shape) for one in graph.inputs), strict=True))
        converter = Converter(input_shape=shapes, precision=CONVERTER[placement.precision.name])
        converted = converter.convert(onnx.load(str(model)))
        options = CompilerOptions()
        options.ipu_version = runtime.DeviceManager().ipu_hardware_version()
        for name, value in dict(self.options.get("compiler_options") or {}).items():
            if not hasattr(options, name):
                raise ValueError(f"compiler_options.{name} is none of PopRT's CompilerOptions")
            setattr(options, name, value)
        options.partials_type = self.partials
        outputs = [one.name for one in converted.graph.output]
        Compiler.compile_and_export(converted.SerializeToString(), outputs, str(target), options)

    def load(self, built: Built, graph: Graph, placement: Placement) -> OnArrays:
        """Have a runner load the executable; several threads may call it."""
        import numpy as np
        from poprt import runtime

        runner = runtime.Runner(str(built.path), runtime.RuntimeConfig())
        takes = {one.name: one.numpy_data_type() for one in runner.get_execute_inputs()}
        leaves = runner.get_execute_outputs()

        def call(arrays: Arrays) -> Arrays:
            outputs = {one.name: np.zeros(one.shape, dtype=one.numpy_data_type()) for one in leaves}
            runner.execute(dict(zip(graph.input_names, arrays, strict=True)), outputs)
            return [outputs[name] for name in graph.output_names]

        return OnArrays(built, call, types=[takes[name] for name in graph.input_names], concurrent=True)

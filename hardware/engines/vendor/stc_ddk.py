"""`compiler=stc_ddk`: STC_DDK for Stream Computing's STCP920. Not verified on hardware.

Source: ByteMLPerf general_perf/backends/STC; Stream Computing's STC_DDK manual (stc_aic compiles, stc_aie executes).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.engines.base import EXISTING
from hardware.engines.compiled import Coverage
from hardware.engines.graph import Graph, Placement
from hardware.engines.vendor.from_float import FromFloat, OnArrays
from hardware.engines.vendor.from_onnx import Built, EngineBuildError
from hardware.engines.vendor.tools import call

if TYPE_CHECKING:
    from hardware.engines.vendor.from_float import Arrays

COMPILER = "stc_ddk.stc_aic"
PLAN = "model.json"
"""What the compiler writes about the pieces it cut the graph into: `nodes`, each with the file that is its `source`."""
ON_CHIP = ".stcobj"


class StcDdk(FromFloat):
    """The compiler cuts the graph into pieces for the chip, and pieces for the host where it must."""

    precisions: ClassVar[tuple[str, ...]] = ("fp16",)
    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "config")
    modules: ClassVar[tuple[str, ...]] = ("stc_ddk", "onnx", "onnxscript")
    packages: ClassVar[tuple[str, ...]] = ("stc_ddk", "onnx", "onnxscript")
    commands: ClassVar[tuple[str, ...]] = (COMPILER,)
    engine_file: ClassVar[str] = "model"

    def detail(self, graph: Graph, placement: Placement) -> str:
        """Nothing is asked for: the chip has no other type of floating point."""
        return "the chip computes floating point in float16 alone"

    def build(self, model: Path, graph: Graph, placement: Placement, target: Path) -> None:
        """Run the compiler, and see that every piece it names is there."""
        import onnx

        described = onnx.load(str(model), load_external_data=False).graph
        command = [COMPILER, "--model", str(model), "--input_names", ",".join(graph.input_names)]
        command += ["--input_shapes", ",".join(f"[{','.join(map(str, one.shape))}]" for one in graph.inputs)]
        command += ["--input_dtypes", ",".join(map(_type, described.input))]
        command += ["--output_names", ",".join(graph.output_names)]
        command += ["--output_dtypes", ",".join(map(_type, described.output)), "--outdir", str(target)]
        if self.options.get("config"):
            command += ["--config", str(self.options["config"])]
        call(command, target / PLAN)
        missing = [source for source in _sources(target) if not (target / source).exists()]
        if missing or not _sources(target):
            raise EngineBuildError(f"{COMPILER} wrote {PLAN}, but not {', '.join(missing) or 'any piece'}")

    def coverage(self, engine: Path, model: Path) -> Coverage | None:
        """All nodes but those of the pieces that the host runs; None where a piece cannot be counted."""
        import onnx

        total = len(onnx.load(str(model), load_external_data=False).graph.node)
        sources = _sources(engine)
        left = [source for source in sources if not source.endswith(ON_CHIP)]
        if any(not source.endswith(".onnx") for source in left):
            return None
        pieces = [onnx.load(str(engine / source), load_external_data=False).graph.node for source in left]
        fallbacks = {node.op_type: "the compiler left it to the host" for piece in pieces for node in piece}
        taken = max(0, total - sum(map(len, pieces)))
        return Coverage(taken=taken, total=total, fallbacks=fallbacks, subgraphs=len(sources))

    def load(self, built: Built, graph: Graph, placement: Placement) -> OnArrays:
        """Have an executor load the pieces."""
        from stc_ddk import stc_aie

        model = stc_aie.STCGraph(str(built.path))
        executor = stc_aie.STCGraphExec(model)
        names = list(model.get_output_names())

        def execute(arrays: Arrays) -> Arrays:
            feeds = [stc_aie.STCTensor(*pair) for pair in zip(graph.input_names, arrays, strict=True)]
            found = dict(zip(names, executor.run(feeds), strict=True))
            return [found[name] for name in graph.output_names]

        return OnArrays(built, execute, close=executor.release)


def _sources(engine: Path) -> list[str]:
    return [str(node["source"]) for node in json.loads((engine / PLAN).read_text())["nodes"]]


def _type(value: Any) -> str:
    import onnx

    return str(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name).upper()

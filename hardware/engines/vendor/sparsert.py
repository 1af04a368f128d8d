"""`compiler=sparsert`: Moffett's sparse compiler and runtime. Not verified on hardware.

The chips skip zeros: their peaks hold for weights of which all but one in 32 are zero. This engine prunes nothing: a
network is served as dense or sparse as its weights are (`model.weights=`), and the evidence says how sparse that is.

How the compiler is called is public, and so is how the runtime is; the runtime's configuration is not: the vendor's
YAML for it is given as `compiler.options.runtime=FILE`.

Source: ByteMLPerf general_perf/backends/SPU; Moffett's public samples of sparse_compile.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.engines.base import EXISTING
from hardware.engines.graph import Graph, Placement, calibration_batches
from hardware.engines.vendor.from_float import FromFloat, OnArrays
from hardware.engines.vendor.from_onnx import Built, EngineBuildError

if TYPE_CHECKING:
    from torch import Tensor

    from hardware.engines.vendor.from_float import Arrays

TYPES = {"bf16": "Bf16", "int8": "Int8"}
"""The compiler's model types."""
MIXED = "MixInt8Bf16"
"""Of int8 with `mixed`: what loses too much by integers stays in bfloat16."""


class Sparsert(FromFloat):
    """One model for one core unless `cores` says otherwise."""

    precisions: ClassVar[tuple[str, ...]] = tuple(TYPES)
    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "runtime", "mixed", "cores", "opt_level")
    modules: ClassVar[tuple[str, ...]] = ("nn_compiler", "sparse_compile", "inference", "onnx", "onnxscript")
    packages: ClassVar[tuple[str, ...]] = ("nn_compiler", "sparse_compile", "onnx", "onnxscript")
    engine_file: ClassVar[str] = "model"

    def unavailable_reason(self) -> str | None:
        """Also without the runtime's configuration."""
        given = self.options.get("runtime")
        no_file = f"compiler.options.runtime={given} is no file; Moffett's YAML for its runtime belongs there"
        reasons = (super().unavailable_reason(), None if given and Path(given).is_file() else no_file)
        return " and ".join(filter(None, reasons)) or None

    def detail(self, graph: Graph, placement: Placement) -> str:
        """The model type, and how sparse the weights are."""
        weights = [one for one in graph.network.parameters() if one.dim() > 1]
        total, zeros = sum(one.numel() for one in weights), sum(int((one == 0).sum()) for one in weights)
        return f"{self._type(placement)}; {zeros / max(total, 1):.1%} of the weights are zero"

    def build(self, model: Path, graph: Graph, placement: Placement, target: Path) -> None:
        """Compile for the graph's batch size, with the calibration's batches for integers."""
        from sparse_compile.builder import Builder
        from sparse_compile.common import ModelDtype, dump_module_infos, save_model_bin
        from sparse_compile.parser import OnnxParser

        logger = logging.getLogger("SparseCompile")
        builder = Builder(logger)
        network, config = builder.create_network(), builder.create_builder_config()
        config.input_dict = {name: name for name in graph.input_names}
        config.model_dtype = getattr(ModelDtype, self._type(placement))
        config.batch_size = len(graph.inputs[0])
        config.total_cores = int(self.options.get("cores", 1))
        config.opt_level = int(self.options.get("opt_level", 5))
        if placement.precision.served == "int8":
            config.dataloader = _calibration(graph, placement)
        shapes = dict(zip(graph.input_names, (list(one.shape) for one in graph.inputs), strict=True))
        parser = OnnxParser(network, shapes, logger)
        if not parser.parse(model.open("rb")):
            said = "; ".join(str(parser.get_error(number)) for number in range(parser.num_errors))
            raise EngineBuildError(f"OnnxParser: {said or 'it did not say why'}")
        engine = builder.build_engine(network, config)
        target.mkdir()
        save_model_bin(engine, str(target))
        engine.dump(str(target))
        dump_module_infos(engine, str(target))

    def load(self, built: Built, graph: Graph, placement: Placement) -> OnArrays:
        """Have the runtime load the model, on one device."""
        import yaml
        from inference import ModelFactory

        settings: Mapping[str, Any] = yaml.safe_load(Path(self.options["runtime"]).read_text()) or {}
        runtime = ModelFactory({**settings, "model_path": str(built.path), "input_name": list(graph.input_names)})
        runtime.load_model()
        runtime.device_num = 1
        if self._type(placement) == MIXED:
            evidence = replace(built.evidence, weights=("bfloat16", "int8"), compute=("bfloat16", "int8"))
            built = built._replace(evidence=evidence)

        def call(arrays: Arrays) -> Arrays:
            outputs: Arrays = runtime.inference(list(arrays))
            if len(outputs) != len(graph.output_names):
                raise RuntimeError(f"the runtime answers {len(outputs)} outputs, the graph has {graph.output_names}")
            return outputs

        return OnArrays(built, call, close=runtime.destroy)

    def _type(self, placement: Placement) -> str:
        mixed = placement.precision.served == "int8" and bool(self.options.get("mixed"))
        return MIXED if mixed else TYPES[placement.precision.name]


def _calibration(graph: Graph, placement: Placement) -> list[dict[str, Tensor]]:
    """Batches of the calibration's rows by the names of the inputs, as the compiler's loaders give them."""
    batches = calibration_batches(graph, placement)
    return [dict(zip(graph.input_names, batch, strict=True)) for batch in batches]

"""`compiler=ixrt`: IxRT for Iluvatar's GPUs. Not verified on hardware.

Source: FlagPerf inference/inference_engine/iluvatar/ixrt.py; IxRT's own ixrtexec and Python samples (DeepSpark).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.engines.base import EXISTING
from hardware.engines.graph import Graph, Placement, Tensors
from hardware.engines.vendor.from_float import FromFloat
from hardware.engines.vendor.from_onnx import Built, EngineBuildError, OnDevice

if TYPE_CHECKING:
    import torch

FLAGS = {"fp32": (), "fp16": ("FP16",), "bf16": ("BF16",)}
"""The builder's flags: types that it may choose besides float32."""


class Ixrt(FromFloat):
    """Parser, builder and runtime in the manner of TensorRT, in the module `ixrt`."""

    precisions: ClassVar[tuple[str, ...]] = tuple(FLAGS)
    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "optimization_level")
    modules: ClassVar[tuple[str, ...]] = ("ixrt", "onnx", "onnxscript")
    packages: ClassVar[tuple[str, ...]] = ("ixrt", "onnx", "onnxscript")
    obtained: ClassVar[str | None] = "ixrt comes with Iluvatar's CoreX, the others from PyPI"
    engine_file: ClassVar[str] = "model.engine"

    def detail(self, graph: Graph, placement: Placement) -> str:
        """The flags."""
        return f"builder flags: {', '.join(FLAGS[placement.precision.name]) or 'none'}"

    def build(self, model: Path, graph: Graph, placement: Placement, target: Path) -> None:
        """Parse and build, without TF32 where the builder knows it."""
        import ixrt

        logger = ixrt.Logger(ixrt.Logger.WARNING)
        builder = ixrt.Builder(logger)
        network = builder.create_network(1 << int(ixrt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
        config = builder.create_builder_config()
        if hasattr(ixrt.BuilderFlag, "TF32"):
            config.clear_flag(ixrt.BuilderFlag.TF32)
        for flag in FLAGS[placement.precision.name]:
            config.set_flag(getattr(ixrt.BuilderFlag, flag))
        if "optimization_level" in self.options:
            config.builder_optimization_level = int(self.options["optimization_level"])
        parser = ixrt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(model)):
            raise EngineBuildError("IxRT does not parse the graph; its log above says why")
        plan = builder.build_serialized_network(network, config)
        if not plan:
            raise EngineBuildError("IxRT builds no engine of the graph; its log above says why")
        target.write_bytes(plan)

    def load(self, built: Built, graph: Graph, placement: Placement) -> OnBindings:
        """Have the runtime read the engine."""
        import ixrt

        runtime = ixrt.Runtime(ixrt.Logger(ixrt.Logger.WARNING))
        engine = runtime.deserialize_cuda_engine(built.path.read_bytes())
        if not engine:
            raise EngineBuildError(f"IxRT does not read {built.path}: another version or chip built it")
        return OnBindings(built, engine, graph, placement.device)


class OnBindings(OnDevice):
    """An execution context whose bindings are torch's tensors, in the current stream."""

    def __init__(self, built: Built, engine: Any, graph: Graph, device: torch.device) -> None:
        self._places = {engine.get_binding_name(place): place for place in range(engine.num_bindings)}
        self._engine, self._context = engine, engine.create_execution_context()
        self._inputs, self._outputs = graph.input_names, graph.output_names
        super().__init__(built, device, [self._type(name) for name in self._inputs])

    def submit(self, placed: Tensors) -> Tensors:
        """Start with new outputs.

        Raises:
            RuntimeError: the runtime did not take it.
        """
        import torch

        outputs = tuple(
            torch.empty(self._shape(name), dtype=self._type(name), device=self._device) for name in self._outputs
        )
        bindings = [0] * len(self._places)
        for name, tensor in zip((*self._inputs, *self._outputs), (*placed, *outputs), strict=True):
            bindings[self._places[name]] = tensor.data_ptr()
        if not self._context.execute_async_v2(bindings, torch.cuda.current_stream(self._device).cuda_stream):
            raise RuntimeError("IxRT did not execute the engine; its log says why")
        return outputs

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._context.get_binding_shape(self._places[name]))

    def _type(self, name: str) -> torch.dtype:
        import ixrt
        import numpy as np
        import torch

        kind = np.dtype(ixrt.nptype(self._engine.get_binding_dtype(self._places[name])))
        return torch.from_numpy(np.empty(0, kind)).dtype

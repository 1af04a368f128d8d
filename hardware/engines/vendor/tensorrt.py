"""`compiler=tensorrt`: NVIDIA's TensorRT, from version 10 on.

Networks are strongly typed: TensorRT computes in the types of the ONNX graph and has no choice of its own, but for
TF32, which is on by default and so is cleared for every other precision. The flags of weakly typed networks (FP16,
INT8 …) are not used; TensorRT 11 has dropped them.

Sources: docs.nvidia.com/deeplearning/tensorrt, Python API of 10.16 and 11.4 (Builder, BuilderConfig, OnnxParser,
Engine, EngineInspector, migration from 10.x to 11.x; read 2026-11).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.base import HardwareUnavailableError
from hardware.engines.base import EXISTING, UnsupportedGraphError
from hardware.engines.graph import Graph, Placement, Tensors
from hardware.engines.vendor.from_onnx import FLOATS, Built, EngineBuildError, FromOnnx, OnDevice
from hardware.precision.evidence import Evidence
from hardware.spec import PrecisionSpec

if TYPE_CHECKING:
    import torch

HIGHEST_LEVEL = 5
"""Of `builder_optimization_level`."""
TYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
"""tensorrt.DataType to torch's names."""
MULTIPLIES = re.compile(r"conv|gemm|matrix ?multiply|matmul", re.IGNORECASE)
"""Kinds of the inspector's layers in which products are computed."""
FORMATS = {
    "fp32": "float32",
    "float": "float32",
    "fp16": "float16",
    "half": "float16",
    "int8": "int8",
    "fp8": "fp8",
} | {
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
}
"""Words of the inspector's formats to torch's names: `Row major linear FP16 format`, `Half`."""


class Tensorrt(FromOnnx):
    """A serialised plan, for exactly this GPU and version."""

    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "level", "workspace_mib")
    precisions: ClassVar[tuple[str, ...]] = (*FLOATS, "tf32", "int8")
    modules: ClassVar[tuple[str, ...]] = ("tensorrt", "onnx", "onnxscript", "onnxruntime")
    packages: ClassVar[tuple[str, ...]] = ("tensorrt", "onnx", "onnxscript", "onnxruntime")
    obtained: ClassVar[str | None] = (
        "pip install tensorrt onnx onnxscript onnxruntime, TensorRT for the CUDA that is here"
    )
    engine_file: ClassVar[str] = "model.plan"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.level, self.workspace_mib = options.get("level", 3), options.get("workspace_mib")
        if self.level not in range(HIGHEST_LEVEL + 1):
            raise ValueError(f"level={self.level} must be a whole number from 0 to {HIGHEST_LEVEL}")

    def build(self, model: Path, graph: Graph, placement: Placement, target: Path) -> None:
        """Parse, build, serialise."""
        import tensorrt as trt

        strong = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        if strong is None:
            raise HardwareUnavailableError(f"TensorRT {trt.__version__} has no strongly typed networks; install 10")
        logger = trt.Logger(trt.Logger.ERROR)
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(strong))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(model)):
            errors = [parser.get_error(number) for number in range(parser.num_errors)]
            nodes = ", ".join(f"{one.node_operator()} {one.node_name()}" for one in errors)
            raise UnsupportedGraphError("tensorrt", nodes, "; ".join(one.desc() for one in errors))
        plan = builder.build_serialized_network(network, self._config(builder, placement.precision))
        if plan is None:
            raise EngineBuildError("TensorRT found no way to run the graph; what it said is in the worker's log")
        target.write_bytes(plan)

    def _config(self, builder: Any, precision: PrecisionSpec) -> Any:
        import tensorrt as trt

        config = builder.create_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        config.builder_optimization_level = self.level
        if self.workspace_mib is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, self.workspace_mib << 20)
        (config.set_flag if precision.matmul == "tf32" else config.clear_flag)(trt.BuilderFlag.TF32)
        return config

    def load(self, built: Built, graph: Graph, placement: Placement) -> TensorrtPlan:
        """Deserialise for the GPU that is here."""
        import tensorrt as trt

        logger = trt.Logger(trt.Logger.ERROR)
        engine = trt.Runtime(logger).deserialize_cuda_engine(built.path.read_bytes())
        if engine is None:
            raise EngineBuildError(
                f"TensorRT {trt.__version__} cannot load {built.path}: another version built it, or for another GPU"
            )
        layers = inspected(engine)
        evidence = engine_evidence(layers, built.evidence, placement.precision)
        return TensorrtPlan(built._replace(evidence=evidence), engine, graph, placement.device)


class TensorrtPlan(OnDevice):
    """An execution context on a stream of its own: in CUDA's default stream TensorRT would wait more than it must."""

    def __init__(self, built: Built, engine: Any, graph: Graph, device: torch.device) -> None:
        import torch

        names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        shapes = {name: tuple(engine.get_tensor_shape(name)) for name in names}
        types = {name: getattr(torch, TYPES[engine.get_tensor_dtype(name).name]) for name in names}
        wanted = {name: tuple(one.shape) for name, one in zip(graph.input_names, graph.inputs, strict=True)}
        if {*names} != {*graph.input_names, *graph.output_names} or any(
            shapes[name] != wanted[name] for name in wanted
        ):
            raise ValueError(f"{built.path} is of another network: its inputs and outputs are {shapes}")
        super().__init__(built, device, [types[name] for name in graph.input_names])
        self._names = (*graph.input_names, *graph.output_names)
        self._outputs = [(shapes[name], types[name]) for name in graph.output_names]
        self._engine, self._context = engine, engine.create_execution_context()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def submit(self, placed: Tensors) -> Tensors:
        """Start the engine, in order with the current stream."""
        import torch

        current = torch.cuda.current_stream(self._device)
        outputs = tuple(torch.empty(shape, dtype=dtype, device=self._device) for shape, dtype in self._outputs)
        for name, buffer in zip(self._names, (*placed, *outputs), strict=True):
            self._context.set_tensor_address(name, buffer.data_ptr())
        self._stream.wait_stream(current)
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise RuntimeError("TensorRT did not start the engine; what it said is in the worker's log")
        current.wait_stream(self._stream)
        return outputs


def inspected(engine: Any) -> list[dict[str, Any]]:
    """What the inspector tells of each layer; none of a plan that was built without details."""
    import tensorrt as trt

    told = json.loads(engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON))
    return [one for one in told.get("Layers", []) if isinstance(one, dict)]


def engine_evidence(layers: Iterable[dict[str, Any]], graph: Evidence, precision: PrecisionSpec) -> Evidence:
    """In which types the layers that multiply take their inputs, where the inspector tells; else the graph's.

    Args:
        layers: the inspector's.
        graph: the evidence of the ONNX graph, whose types a strongly typed engine has.
        precision: TF32 has no type of its own; float32 layers may use it where its flag is set.
    """
    found = Counter(_input_type(one) for one in layers if MULTIPLIES.search(_kind(one)))
    found.pop(None, None)
    compute = tuple(found) or graph.compute
    if precision.matmul == "tf32":
        compute = tuple("tf32" if name == "float32" else name for name in compute)
    told = ", ".join(
        f"{count} of {found.total()} layers that multiply in {name}" for name, count in found.most_common()
    )
    return replace(
        graph,
        compute=tuple(sorted({name for name in compute if name is not None})),
        source="engine" if found else graph.source,
        detail=told or graph.detail,
    )


def _kind(layer: dict[str, Any]) -> str:
    return f"{layer.get('LayerType', '')} {layer.get('ParameterType', '')}"


def _input_type(layer: dict[str, Any]) -> str | None:
    """Type of a layer's first input: 10.x tells it with the format, 11.x apart."""
    first: dict[str, Any] = next(iter(layer.get("Inputs", [])), {})
    text = str(first.get("DataType") or first.get("Format/Datatype") or "")
    return next((FORMATS[word] for word in re.findall(r"[a-z]+\d*", text.lower()) if word in FORMATS), None)

"""`compiler=magicmind`: Cambricon's MagicMind, from a float32 ONNX file and a precision mode. Not verified on hardware.

`precision_mode` decides for the whole network; nothing tells the types of the compiled one, so its evidence is what was
asked for. MLUs have no 64-bit integers: they are 32-bit ones inside, and at the inputs.

Source: public samples of MagicMind's Python interface (mm_convert, Cambricon's magicmind_cloud samples; read 2026-11):
Network, parser.Parser, BuilderConfig.parse_from_string, Calibrator, CalibDataInterface, Builder.build_model,
Model.serialize_to_file, create_i_engine, create_i_context, enqueue. The vendor's reference is not public.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hardware.engines.base import EXISTING, UnsupportedGraphError
from hardware.engines.compiled import Compiled
from hardware.engines.exported.host_arrays import to_arrays, to_tensors
from hardware.engines.graph import Graph, Placement, Tensors, calibration_batches
from hardware.engines.vendor.from_float import FromFloat
from hardware.engines.vendor.from_onnx import Built, EngineBuildError

MODES = {"fp32": "force_float32", "fp16_true": "force_float16", "int8": "qint8_mixed_{mixed}"}
MIXED = ("float16", "float32")


class Magicmind(FromFloat):
    """An offline model for one architecture of MLUs, or for all."""

    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "archs", "mixed")
    precisions: ClassVar[tuple[str, ...]] = tuple(MODES)
    modules: ClassVar[tuple[str, ...]] = ("magicmind", "onnx", "onnxscript")
    packages: ClassVar[tuple[str, ...]] = ("magicmind", "onnx", "onnxscript")
    obtained: ClassVar[str | None] = "MagicMind comes with Cambricon's SDK, the others from PyPI"
    engine_file: ClassVar[str] = "model.magicmind"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.mixed = str(options.get("mixed") or MIXED[0])
        if self.mixed not in MIXED:
            raise ValueError(f"mixed={self.mixed} is unknown; there are {', '.join(MIXED)}")

    def config(self, precision: str) -> dict[str, Any]:
        """MagicMind's build configuration for a precision."""
        mode = MODES[precision].format(mixed=self.mixed)
        quantised = {"activation_quant_algo": "symmetric", "weight_quant_granularity": "per_axis"}
        archs = {"archs": list(self.options["archs"])} if self.options.get("archs") else {}
        return {
            "precision_config": {"precision_mode": mode} | (quantised if precision == "int8" else {}),
            "graph_shape_mutable": False,
            "opt_config": {"type64to32_conversion": True, "conv_scale_fold": True},
            **archs,
        }

    def detail(self, graph: Graph, placement: Placement) -> str:
        """The precision mode."""
        return f"precision_mode={self.config(placement.precision.name)['precision_config']['precision_mode']}"

    def build(self, model: Path, graph: Graph, placement: Placement, target: Path) -> None:
        """Parse, calibrate where integers are asked for, build, serialise."""
        import magicmind.python.runtime as mm
        import magicmind.python.runtime.parser  # noqa: F401 -- it becomes mm.parser

        network = mm.Network()
        parsed = mm.parser.Parser(mm.ModelKind.kOnnx).parse(network, str(model))
        if not parsed.ok():
            raise UnsupportedGraphError("magicmind", "its parser", parsed.error_message())
        config = mm.BuilderConfig()
        _done(config.parse_from_string(json.dumps(self.config(placement.precision.name))), "its configuration")
        if placement.precision.name == "int8":
            _active(placement)
            batches = [_typed(to_arrays(batch)) for batch in calibration_batches(graph, placement)]
            calibrator = mm.Calibrator([_samples(arrays) for arrays in zip(*batches, strict=True)])
            _done(calibrator.set_quantization_algorithm(mm.QuantizationAlgorithm.LINEAR_ALGORITHM), "calibration")
            _done(calibrator.calibrate(network, config), "calibration")
        built = mm.Builder().build_model("model", network, config)
        if built is None:
            raise EngineBuildError("MagicMind builds no model of the graph; what it said is in the worker's log")
        built.serialize_to_file(str(target))

    def load(self, built: Built, graph: Graph, placement: Placement) -> MagicmindModel:
        """Put the offline model on the device."""
        return MagicmindModel(built, graph, placement)


class MagicmindModel(Compiled):
    """A context, which one thread uses at a time, with its queue; copies to the device lie outside `run`."""

    def __init__(self, built: Built, graph: Graph, placement: Placement) -> None:
        import magicmind.python.runtime as mm

        self.made, self.evidence = built.made, built.evidence
        self._device = _active(placement)
        self._model = mm.Model()
        self._model.deserialize_from_file(str(built.path))
        config = mm.Model.EngineConfig()
        config.device_type = "MLU"
        self._engine = self._model.create_i_engine(config)
        if self._engine is None:
            raise EngineBuildError(f"MagicMind cannot load {built.path}")
        self._context = self._engine.create_i_context()
        self._queue, self._one_at_a_time = self._device.create_queue(), threading.Lock()
        shapes = [tuple(one.shape) for one in self._context.create_inputs()]
        if shapes != [tuple(one.shape) for one in graph.inputs]:
            raise EngineBuildError(f"{built.path} is of another network: its inputs are {shapes}")

    def place(self, inputs: Tensors) -> list[Any]:
        """Tensors of the context's on the device."""
        with self._one_at_a_time:
            placed = self._context.create_inputs()
            for tensor, array in zip(placed, _typed(to_arrays(inputs)), strict=True):
                tensor.from_numpy(array)
                tensor.to(self._device)
        return list(placed)

    def run(self, placed: list[Any]) -> list[Any]:
        """Submit to the queue."""
        outputs: list[Any] = []
        with self._one_at_a_time:
            _done(self._context.enqueue(placed, outputs, self._queue), "running")
        return outputs

    def fetch(self, outputs: list[Any]) -> Tensors:
        """Wait, and copy to the host."""
        self.synchronize()
        return to_tensors([one.asnumpy() for one in outputs])

    def synchronize(self) -> None:
        """Wait for the queue."""
        _done(self._queue.sync(), "waiting")


def _active(placement: Placement) -> Any:
    """The device, active in this thread."""
    import magicmind.python.runtime as mm

    device = mm.Device()
    device.id = placement.device.index or 0
    _done(device.active(), f"device {device.id}")
    return device


def _samples(arrays: Sequence[Any]) -> Any:
    """Calibration data of one input, in MagicMind's form."""
    import magicmind.python.runtime as mm
    from magicmind.python.common.types import get_datatype_by_numpy

    class Samples(mm.CalibDataInterface):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.left: Iterator[Any] = iter(arrays)
            self.sample: Any = None

        def get_shape(self) -> Any:
            return mm.Dims(arrays[0].shape)

        def get_data_type(self) -> Any:
            return get_datatype_by_numpy(arrays[0].dtype)

        def get_sample(self) -> Any:
            return self.sample

        def next(self) -> Any:
            self.sample = next(self.left, None)
            return mm.Status.OK() if self.sample is not None else mm.Status(mm.Code.OUT_OF_RANGE, "no more batches")

        def reset(self) -> Any:
            self.left, self.sample = iter(arrays), None
            return mm.Status.OK()

    return Samples()


def _typed(arrays: Sequence[Any]) -> list[Any]:
    """64-bit integers as the 32-bit ones that a model takes."""
    return [one.astype("int32") if one.dtype == "int64" else one for one in arrays]


def _done(status: Any, what: str) -> None:
    """Raise what MagicMind said about a call that failed."""
    if not status.ok():
        raise EngineBuildError(f"MagicMind, {what}: {status.error_message()}")

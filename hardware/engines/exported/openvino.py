"""`compiler=openvino`: OpenVINO on the host's processor."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hardware.base import PrecisionUnsupportedError
from hardware.engines.base import EXISTING, Engine, UnsupportedGraphError
from hardware.engines.compiled import Compiled, Coverage, Made
from hardware.engines.exported.host_arrays import to_arrays, to_tensors
from hardware.engines.exported.openvino_types import evidence_of
from hardware.engines.exported.program import exported_program, unsupported
from hardware.engines.graph import Graph, Placement, Tensors, calibration_batches, keep

DEVICE = "CPU"
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16_true": "f16", "int8": "f32"}
"""What products are computed in that are not of integers: the plugin chooses bf16 or f16 by itself if nobody says."""
NEEDED = {"bf16": "BF16", "fp16_true": "FP16", "int8": "INT8"}
"""Capability that the processor must have for a precision; others would be emulated."""
PERFORMANCE = ("latency", "throughput", "cumulative_throughput")
NAME = "model.xml"


class Openvino(Engine):
    """The CPU plugin; integers by post-training quantisation with NNCF."""

    known_options: ClassVar[tuple[str, ...]] = (
        *("performance_hint", "num_streams", "threads", "preset", "model_type"),
        EXISTING,
    )
    precisions: ClassVar[tuple[str, ...]] = tuple(HINTS)
    modules: ClassVar[tuple[str, ...]] = ("openvino", "nncf")
    packages: ClassVar[tuple[str, ...]] = ("openvino", "nncf")
    extra: ClassVar[str | None] = "openvino"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        for name, known in (
            ("performance_hint", PERFORMANCE),
            ("preset", ("performance", "mixed")),
            ("model_type", ("transformer",)),
        ):
            if options.get(name) is not None and options[name] not in known:
                raise ValueError(f"{name}={options[name]} is unknown; there are {', '.join(known)}")

    def compile(self, graph: Graph, placement: Placement) -> OpenvinoCompiled:
        """Convert what torch.export captured, quantise it for int8, and compile it.

        Raises:
            PrecisionUnsupportedError: the processor lacks the instructions.
            UnsupportedGraphError: an operator cannot be converted, or the file of `engine_path` is not of this graph.
        """
        import openvino

        core, precision = openvino.Core(), placement.precision.name
        able = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
        if NEEDED.get(precision, "FP32") not in able:
            raise PrecisionUnsupportedError(
                f"OpenVINO does not offer precision={precision} on this processor; it is able to {', '.join(able)}"
            )
        began_s = time.perf_counter()
        path, reason = self._model(graph, placement)
        seconds = time.perf_counter() - began_s
        model = fitted(core.read_model(path), graph, path)
        began_s = time.perf_counter()
        compiled = core.compile_model(model, DEVICE, self.settings(precision))
        made = Made(
            compile_s=time.perf_counter() - began_s,
            export_s=None if reason else seconds,
            export_reason=reason,
            size_bytes=path.stat().st_size + path.with_suffix(".bin").stat().st_size,
            coverage=coverage_of(core, model),
        )
        return OpenvinoCompiled(model, compiled, graph, made)

    def settings(self, precision: str) -> dict[str, Any]:
        """The plugin's properties, by the names of OpenVINO's documentation."""
        given = {
            "NUM_STREAMS": self.options.get("num_streams"),
            "INFERENCE_NUM_THREADS": self.options.get("threads") or None,
        }
        hint = str(self.options.get("performance_hint") or "latency").upper()
        set_ = {name: int(value) for name, value in given.items() if value is not None}
        return {"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": hint, **set_}

    def _model(self, graph: Graph, placement: Placement) -> tuple[Path, str | None]:
        """The model file, and why nothing was exported if nothing was."""
        existing = self.options.get(EXISTING)
        if existing is not None:
            path = Path(existing)
            if not (path.is_file() and path.with_suffix(".bin").is_file()):
                raise UnsupportedGraphError("openvino", str(path), "there is no such file with a .bin beside it")
            return path, f"{EXISTING} names a model that was there"
        made = keep(placement.folder / "ir", lambda draft: _convert(graph, draft))
        path = placement.folder / "ir" / NAME
        if placement.precision.name == "int8":
            source, path = path, placement.folder / "ir_int8" / NAME
            made |= keep(path.parent, lambda draft: self._quantise(source, draft, graph, placement))
        return path, None if made else "an earlier run had exported it"

    def _quantise(self, source: Path, folder: Path, graph: Graph, placement: Placement) -> None:
        """Choose ranges by the calibration batches (NNCF, post-training quantisation)."""
        import logging

        import nncf
        import openvino

        nncf.set_log_level(logging.ERROR)
        batches = [tuple(to_arrays(batch)) for batch in calibration_batches(graph, placement)]
        preset, kind = self.options.get("preset"), self.options.get("model_type")
        model = nncf.quantize(
            openvino.Core().read_model(source),
            nncf.Dataset(batches),
            subset_size=len(batches),
            target_device=nncf.TargetDevice.CPU,
            preset=preset and nncf.QuantizationPreset(preset),
            model_type=kind and nncf.ModelType(kind),
        )
        _save(model, folder)


class OpenvinoCompiled(Compiled):
    """A compiled model that reads and writes the host's memory, with a request for each thread that asks."""

    def __init__(self, model: Any, compiled: Any, graph: Graph, made: Made) -> None:
        self.made, self.evidence = made, evidence_of(model, compiled)
        self._compiled, self._outputs = compiled, len(graph.output_names)
        self._own = threading.local()

    def place(self, inputs: Tensors) -> list[Any]:
        """The same memory."""
        import openvino

        return [openvino.Tensor(one, shared_memory=True) for one in to_arrays(inputs)]

    def run(self, placed: list[Any]) -> list[Any]:
        """Infer; outputs are copies, as the next inference of this thread writes over its own."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        results = self._own.request.infer(placed, share_inputs=True, share_outputs=False)
        return [results[number] for number in range(self._outputs)]

    def fetch(self, outputs: list[Any]) -> Tensors:
        """The same memory."""
        return to_tensors(outputs)


def fitted(model: Any, graph: Graph, path: Path) -> Any:
    """The model with the shapes of the graph's inputs, which it is to take by position.

    Raises:
        UnsupportedGraphError: it takes or gives another number of tensors, or these shapes do not go through it.
    """
    found, wanted = (len(model.inputs), len(model.outputs)), (len(graph.inputs), len(graph.output_names))
    if found != wanted:
        counts = f"it has {found[0]} inputs and {found[1]} outputs, the network {wanted[0]} and {wanted[1]}"
        raise UnsupportedGraphError("openvino", str(path), counts)
    try:
        model.reshape({number: list(one.shape) for number, one in enumerate(graph.inputs)})
    except RuntimeError as error:
        raise UnsupportedGraphError("openvino", str(path), str(error).splitlines()[-1]) from error
    return model


def coverage_of(core: Any, model: Any) -> Coverage:
    """Which of the model's operators the plugin takes: it is asked for each."""
    taken = core.query_model(model, DEVICE)
    every = [(one.get_friendly_name(), one.get_type_name()) for one in model.get_ops()]
    left = {kind: f"the {DEVICE} plugin does not take it" for name, kind in every if name not in taken}
    return Coverage(taken=sum(name in taken for name, _ in every), total=len(every), fallbacks=left, subgraphs=1)


def _convert(graph: Graph, folder: Path) -> None:
    import openvino

    program = exported_program(graph, "openvino")
    heard: tuple[logging.Logger | logging.Handler, ...] = (logging.root, *logging.root.handlers)
    levels = {one: one.level for one in heard}
    try:
        model = openvino.convert_model(program)
    except (openvino.frontend.OpConversionFailure, openvino.frontend.NotImplementedFailure) as error:
        raise unsupported("openvino", error) from error
    finally:
        for one, level in levels.items():  # a conversion that fails leaves all of the process's logging at ERROR
            one.setLevel(level)
    _save(model, folder)


def _save(model: Any, folder: Path) -> None:
    """Write a model in the types it has: by default OpenVINO would keep its weights in float16."""
    import openvino

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    openvino.save_model(model, folder / NAME, compress_to_fp16=False)

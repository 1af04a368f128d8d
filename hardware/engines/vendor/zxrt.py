"""`compiler=zxrt`: TopsInference for Tencent's Zixiao chips, which FlagPerf calls zxrt. Not verified on hardware.

Source: FlagPerf inference/inference_engine/zixiao/zxrt.py; public samples of TopsInference's Python interface.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hardware.engines.base import EXISTING
from hardware.engines.compiled import Compiled
from hardware.engines.exported.host_arrays import to_arrays, to_tensors
from hardware.engines.graph import Graph, Placement, Tensors
from hardware.engines.vendor.from_float import FromFloat, said_by
from hardware.engines.vendor.from_onnx import Built

CARD, ALL_CLUSTERS = 0, -1
FLAGS = {"fp32": "KDEFAULT", "fp16": "KFP16_MIX"}
TYPES = {
    "float32": "DT_FLOAT32",
    "float16": "DT_FLOAT16",
    "int64": "DT_INT64",
    "int32": "DT_INT32",
    "int8": "DT_INT8",
    "uint8": "DT_UINT8",
    "bool": "DT_BOOL",
}
"""TopsInference's types by torch's names."""


class Zxrt(FromFloat):
    """One executable for the whole card; requests go to its streams in turn."""

    precisions: ClassVar[tuple[str, ...]] = tuple(FLAGS)
    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "streams")
    modules: ClassVar[tuple[str, ...]] = ("TopsInference", "onnx", "onnxscript")
    packages: ClassVar[tuple[str, ...]] = ("TopsInference", "onnx", "onnxscript")
    engine_file: ClassVar[str] = "engine.exec"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.streams = int(options.get("streams", 12))
        if self.streams < 1:
            raise ValueError(f"streams={self.streams} must be at least 1")

    def compile(self, graph: Graph, placement: Placement) -> Compiled:
        """Build or load on the card, which compiling needs as well."""
        import TopsInference

        with said_by("TopsInference"):
            handle = TopsInference.set_device(CARD, ALL_CLUSTERS)
        try:
            compiled = super().compile(graph, placement)
        except BaseException:
            TopsInference.release_device(handle)
            raise
        assert isinstance(compiled, OnStreams)
        compiled.handle = handle
        return compiled

    def detail(self, graph: Graph, placement: Placement) -> str:
        """The build flag."""
        return FLAGS[placement.precision.name]

    def build(self, model: Path, graph: Graph, placement: Placement, target: Path) -> None:
        """Have the optimizer build the network, with its default set as plainly as the mixed mode."""
        import TopsInference

        kinds = [str(one.dtype).removeprefix("torch.") for one in graph.inputs]
        parser = TopsInference.create_parser(TopsInference.ONNX_MODEL)
        parser.set_input_names(list(graph.input_names))
        parser.set_input_dtypes([getattr(TopsInference, TYPES[kind]) for kind in kinds])
        parser.set_input_shapes([list(one.shape) for one in graph.inputs])
        parser.set_output_names(list(graph.output_names))
        network = parser.read(str(model))
        optimizer = TopsInference.create_optimizer()
        optimizer.set_build_flag(getattr(TopsInference, FLAGS[placement.precision.name]))
        optimizer.build(network).save_executable(str(target))

    def load(self, built: Built, graph: Graph, placement: Placement) -> OnStreams:
        """Load the executable and make its streams."""
        import TopsInference

        streams = [TopsInference.create_stream() for _ in range(self.streams)]
        return OnStreams(built, TopsInference.load(str(built.path)), streams)


class OnStreams(Compiled):
    """Submits to streams in turn, at most one request to each; what a stream still computes is waited for first."""

    handle: Any = None

    def __init__(self, built: Built, engine: Any, streams: list[Any]) -> None:
        self.made, self.evidence = built.made, built.evidence
        self._engine, self._streams = engine, streams
        self._submitted: deque[Any] = deque()
        self._number, self._lock = 0, threading.Lock()

    def place(self, inputs: Tensors) -> list[Any]:
        """The same memory: the engine copies."""
        return to_arrays(inputs)

    def run(self, placed: list[Any]) -> Any:
        """Submit; returns the engine's future."""
        with self._lock:
            if len(self._submitted) == len(self._streams):
                self._submitted.popleft().get()
            future = self._engine.runV2(placed, py_stream=self._streams[self._number % len(self._streams)])
            self._number += 1
            self._submitted.append(future)
        return future

    def fetch(self, outputs: Any) -> Tensors:
        """Wait for the future's arrays."""
        return to_tensors(outputs.get())

    def synchronize(self) -> None:
        """Wait for every future."""
        with self._lock:
            while self._submitted:
                self._submitted.popleft().get()

    def close(self) -> None:
        """Give the card back."""
        import TopsInference

        self.synchronize()
        TopsInference.release_device(self.handle)

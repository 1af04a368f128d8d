"""ONNX file → the vendor's engine file → the vendor's runtime: what most vendors' engines have in common.

A subclass says how an engine file is built from a typed ONNX file and how one is loaded; where it is kept, what is
timed, `engine_path` and what is refused lie here.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from hardware.base import PrecisionUnsupportedError
from hardware.engines.base import EXISTING, Engine
from hardware.engines.compiled import Compiled, Coverage, Made
from hardware.engines.exported.onnx_types import evidence_of
from hardware.engines.graph import Graph, Placement, Tensors, keep
from hardware.engines.native.network import waiting_for
from hardware.engines.vendor.typed_onnx import typed_onnx
from hardware.precision.evidence import Evidence, expected
from hardware.spec import PrecisionSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

FLOATS = ("fp32", "fp16", "bf16", "fp16_true", "bf16_true")
"""Precisions that `typed_onnx` writes into a graph without calibration."""


class EngineBuildError(RuntimeError):
    """The vendor's compiler took the graph and made no engine of it; the message holds what it said."""


class Built(NamedTuple):
    """An engine file, and what is known of it before it is loaded."""

    path: Path
    made: Made
    evidence: Evidence
    """Read from the ONNX file it was built from; of a file that was given, what was asked for."""


class FromOnnx(Engine):
    """An engine that is built from an ONNX file and kept as a file of its own."""

    known_options: ClassVar[tuple[str, ...]] = (EXISTING,)
    precisions: ClassVar[tuple[str, ...]] = FLOATS
    on_host: ClassVar[bool] = False
    engine_file: ClassVar[str] = "engine"
    """Name under which it is kept."""
    takes_all: ClassVar[bool] = True
    """Whether it refuses graphs of which it does not take every node; else its coverage is unknown."""

    def compile(self, graph: Graph, placement: Placement) -> Compiled:
        """Build the engine, or take the one that is there, and load it.

        Raises:
            PrecisionUnsupportedError: it cannot serve in the precision.
            EngineBuildError: the vendor's compiler made nothing of the graph; with what it said.
            FileNotFoundError: `engine_path` names no file.
        """
        require_precision(self, placement.precision)
        existing = self.options.get(EXISTING)
        built = self._built(graph, placement) if existing is None else given(Path(existing), placement.precision)
        return self.load(built, graph, placement)

    @abstractmethod
    def build(self, model: Path, graph: Graph, placement: Placement, target: Path) -> None:
        """Write the engine of an ONNX file, in which every type is as the precision means it, to `target`.

        Raises:
            EngineBuildError: with what the vendor's compiler said.
        """

    @abstractmethod
    def load(self, built: Built, graph: Graph, placement: Placement) -> Compiled:
        """Make an engine file ready to be run."""

    def _built(self, graph: Graph, placement: Placement) -> Built:
        model = typed_onnx(graph, placement)
        path = placement.folder / self.engine_file
        began_s = time.perf_counter()
        now = keep(path, lambda draft: self.build(model.path, graph, placement, draft))
        made = Made(
            compile_s=time.perf_counter() - began_s if now else None,
            compile_reason="an earlier run had built the engine",
            export_s=model.seconds,
            export_reason=model.reason,
            size_bytes=path.stat().st_size,
            coverage=whole_graph(model.path) if self.takes_all else None,
        )
        return Built(path, made, evidence_of(model.path))


def require_precision(engine: Engine, precision: PrecisionSpec) -> None:
    """Refuse what an engine does not list.

    Raises:
        PrecisionUnsupportedError: names the precisions that it lists.
    """
    if precision.name not in engine.precisions:
        raise PrecisionUnsupportedError(
            f"{type(engine).__name__} does not serve in precision={precision.name}, "
            f"only in {', '.join(engine.precisions)}"
        )


def whole_graph(model: Path) -> Coverage:
    """The coverage of an engine that takes a graph whole or not at all."""
    import onnx

    nodes = len(onnx.load(str(model), load_external_data=False).graph.node)
    return Coverage(taken=nodes, total=nodes, subgraphs=1)


def asked(precision: PrecisionSpec) -> Evidence:
    """Evidence where nothing of the engine tells its types."""
    weights, compute = expected(precision)
    return Evidence(weights=(weights,), compute=(compute,), source="asked")


def given(path: Path, precision: PrecisionSpec) -> Built:
    """What is known of an engine file that `engine_path` names.

    Raises:
        FileNotFoundError: there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"compiler.{EXISTING}={path} is no file")
    made = Made(
        compile_s=None,
        compile_reason=f"compiler.{EXISTING} gives an engine that was built before",
        export_reason=f"compiler.{EXISTING} gives an engine that was built before",
        size_bytes=path.stat().st_size,
        coverage_reason="an engine that was built before does not tell what it was built from",
    )
    return Built(path, made, asked(precision))


class OnDevice(Compiled):
    """Runs on torch tensors on the device, whose addresses it hands to the vendor's runtime, in the current stream.

    One thread submits at a time: a runtime's context holds the addresses of one request.
    """

    def __init__(self, built: Built, device: torch.device, types: Sequence[torch.dtype]) -> None:
        """Take what is known of the engine.

        Args:
            built: its file.
            device: where its buffers lie.
            types: of its inputs, in the graph's order.
        """
        self.made, self.evidence = built.made, built.evidence
        self._device, self._types = device, tuple(types)
        self._wait, self._one_at_a_time = waiting_for(device), threading.Lock()

    @abstractmethod
    def submit(self, placed: Tensors) -> Tensors:
        """Start the work on inputs that lie on the device, and return its outputs' buffers."""

    def run(self, placed: Tensors) -> Tensors:
        """Submit, one thread after another."""
        with self._one_at_a_time:
            return self.submit(placed)

    def place(self, inputs: Tensors) -> Tensors:
        """Copy to the device, in the types of the engine's inputs."""
        return tuple(
            one.to(self._device, dtype, non_blocking=True).contiguous()
            for one, dtype in zip(inputs, self._types, strict=True)
        )

    def fetch(self, outputs: Tensors) -> Tensors:
        """Copy to the host; the copy waits."""
        return tuple(one.cpu() for one in outputs)

    def synchronize(self) -> None:
        """Wait for the device."""
        self._wait()

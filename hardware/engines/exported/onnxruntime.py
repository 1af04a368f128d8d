"""`compiler=onnxruntime`: ONNX Runtime, on the host or through a provider of the vendor's."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.base import HardwareUnavailableError
from hardware.engines.base import Engine
from hardware.engines.compiled import Compiled, Coverage, Made
from hardware.engines.exported.host_arrays import to_arrays, to_tensors
from hardware.engines.exported.onnx_file import Exported, onnx_file, size_of
from hardware.engines.exported.onnx_types import evidence_of
from hardware.engines.graph import Graph, Placement, Tensors

if TYPE_CHECKING:
    import numpy as np

HOST = "CPUExecutionProvider"
LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
RECORD = "session.record_ep_graph_assignment_info"
"""Setting that has the session tell which provider took which node (ONNX Runtime 1.24 and later)."""


class Onnxruntime(Engine):
    """A session over one provider, with the host's for nodes that it does not take."""

    known_options: ClassVar[tuple[str, ...]] = ("provider", "provider_options", "level", "threads")
    modules: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx", "onnxscript")
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnxruntime-gpu", "onnx", "onnxscript")
    extra: ClassVar[str | None] = "onnxruntime"
    default_provider: ClassVar[str] = HOST

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.level = str(options.get("level", "all"))
        if self.level not in LEVELS:
            raise ValueError(f"level={self.level} is unknown; there are {', '.join(LEVELS)}")

    def compile(self, graph: Graph, placement: Placement) -> OnnxSession:
        """Export, then have a session optimise the graph for its provider.

        Raises:
            HardwareUnavailableError: this build of ONNX Runtime has no such provider.
        """
        exported = onnx_file(graph, placement)
        return OnnxSession(exported, graph, self.provider(), self.level, self.options)

    def provider(self) -> str:
        """The provider that is asked to take every node.

        Raises:
            HardwareUnavailableError: this build has none of that name; says which there are.
        """
        import onnxruntime

        wanted = str(self.options.get("provider") or self.default_provider)
        there = onnxruntime.get_available_providers()
        if wanted not in there:
            raise HardwareUnavailableError(
                f"this build of ONNX Runtime has no {wanted}, only {', '.join(there)}. Install the vendor's build"
            )
        return wanted


class OnnxSession(Compiled):
    """A session that reads and writes the host's memory; it returns when it is done."""

    def __init__(self, exported: Exported, graph: Graph, provider: str, level: str, options: Mapping[str, Any]) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, LEVELS[level])
        settings.intra_op_num_threads = int(options.get("threads", 0))
        settings.log_severity_level = 3
        settings.add_session_config_entry(RECORD, "1")
        own = (provider, dict(options.get("provider_options", {})))
        began_s = time.perf_counter()
        self._session = onnxruntime.InferenceSession(
            str(exported.path), settings, providers=[own] if provider == HOST else [own, HOST]
        )
        seconds = time.perf_counter() - began_s
        self._inputs, self._outputs = list(graph.input_names), list(graph.output_names)
        self.made = Made(
            compile_s=seconds,
            export_s=exported.seconds,
            export_reason=exported.reason,
            size_bytes=size_of(exported.path),
            coverage=coverage_of(self._session, provider),
        )
        self.evidence = evidence_of(exported.path)

    def place(self, inputs: Tensors) -> dict[str, np.ndarray[Any, Any]]:
        """The same memory, by name."""
        return dict(zip(self._inputs, to_arrays(inputs), strict=True))

    def run(self, placed: dict[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """Run the session."""
        outputs: list[np.ndarray[Any, Any]] = self._session.run(self._outputs, placed)
        return outputs

    def fetch(self, outputs: list[np.ndarray[Any, Any]]) -> Tensors:
        """The same memory."""
        return to_tensors(outputs)


def coverage_of(session: Any, provider: str) -> Coverage | None:
    """Which nodes the provider took, as the session tells it; None of versions that do not tell."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return None
    pieces = session.get_provider_graph_assignment_info()
    by_provider: Counter[str] = Counter()
    fallbacks: dict[str, str] = {}
    for piece in pieces:
        nodes = piece.get_nodes()
        by_provider[piece.ep_name] += len(nodes)
        if piece.ep_name != provider:
            fallbacks |= {node.op_type: f"left to {piece.ep_name}" for node in nodes}
    return Coverage(
        taken=by_provider[provider],
        total=sum(by_provider.values()),
        fallbacks=fallbacks,
        subgraphs=1 if provider == HOST else len(pieces),
    )

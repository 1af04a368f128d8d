"""A session of ONNX Runtime as a compiled network: in the host's memory, or in that of a provider's device."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware.base import HardwareUnavailableError
from hardware.engines.compiled import Compiled, Coverage, Made
from hardware.engines.exported.host_arrays import to_arrays, to_tensors
from hardware.engines.exported.onnx_file import Exported, size_of
from hardware.engines.graph import Graph, Tensors
from hardware.precision.evidence import Evidence

if TYPE_CHECKING:
    import numpy as np

HOST = "CPUExecutionProvider"
RECORD = "session.record_ep_graph_assignment_info"
"""Setting that has the session tell which provider took which node (ONNX Runtime 1.24 and later)."""
ERRORS_ONLY = 3


@dataclass(kw_only=True, slots=True, frozen=True)
class SessionRequest:
    """What a session is asked for."""

    path: Path
    provider: str
    provider_options: dict[str, Any]
    level: str
    """A member of onnxruntime.GraphOptimizationLevel."""
    threads: int
    """Of one operator; 0: ONNX Runtime's own choice."""

    def settings(self) -> Any:
        """onnxruntime.SessionOptions."""
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, self.level)
        settings.intra_op_num_threads = self.threads
        settings.log_severity_level = ERRORS_ONLY
        settings.add_session_config_entry(RECORD, "1")
        return settings

    def providers(self) -> list[Any]:
        """The provider, and the host's for what it leaves."""
        own = (self.provider, self.provider_options)
        return [own] if self.provider == HOST else [own, HOST]


class OnnxSession(Compiled):
    """What sessions share: how they are made, and what they tell of it."""

    def __init__(self, exported: Exported, graph: Graph, request: SessionRequest, evidence: Evidence) -> None:
        """Make the session.

        Raises:
            HardwareUnavailableError: the provider did not start; ONNX Runtime would run on the host in its place.
        """
        import onnxruntime

        began_s = time.perf_counter()
        self._session = onnxruntime.InferenceSession(
            str(request.path), request.settings(), providers=request.providers()
        )
        seconds = time.perf_counter() - began_s
        if request.provider not in self._session.get_providers():
            raise HardwareUnavailableError(
                f"{request.provider} did not start, and ONNX Runtime would run on the host instead. worker.log says why"
            )
        self._inputs, self._outputs = list(graph.input_names), list(graph.output_names)
        self.evidence = evidence
        self.made = Made(
            compile_s=seconds,
            export_s=exported.seconds,
            export_reason=exported.reason,
            size_bytes=size_of(exported.path),
            coverage=coverage_of(self._session, request.provider),
        )


class HostSession(OnnxSession):
    """Reads and writes the host's memory; `run` returns when it is done."""

    def place(self, inputs: Tensors) -> dict[str, np.ndarray[Any, Any]]:
        """The same memory, by name."""
        return dict(zip(self._inputs, to_arrays(inputs), strict=True))

    def run(self, placed: dict[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """Run the session; outputs are memory of their own."""
        outputs: list[np.ndarray[Any, Any]] = self._session.run(self._outputs, placed)
        return outputs

    def fetch(self, outputs: list[np.ndarray[Any, Any]]) -> Tensors:
        """The same memory."""
        return to_tensors(outputs)


class BoundSession(OnnxSession):
    """Reads and writes a device's memory, so that copies lie outside `run`, which waits for the device."""

    def __init__(
        self, exported: Exported, graph: Graph, request: SessionRequest, evidence: Evidence, *, memory: str, device: int
    ) -> None:
        """Make the session.

        Args:
            exported: the model.
            graph: names of inputs and outputs.
            request: what is asked for.
            evidence: what the products are computed in.
            memory: the device's, as ONNX Runtime names it: cuda, cann, dml.
            device: number of the device.
        """
        super().__init__(exported, graph, request, evidence)
        self._memory, self._device = memory, device
        self._types = [one.type for one in self._session.get_inputs()]

    def place(self, inputs: Tensors) -> list[Any]:
        """Copies in the device's memory; floating-point inputs in the model's type."""
        from onnxruntime import OrtValue

        halves = [wanted == "tensor(float16)" for wanted in self._types]
        arrays = to_arrays(tuple(one.half() if half else one for one, half in zip(inputs, halves, strict=True)))
        return [OrtValue.ortvalue_from_numpy(one, self._memory, self._device) for one in arrays]

    def run(self, placed: list[Any]) -> list[Any]:
        """Run the session; outputs are memory of their own, on the device."""
        binding = self._session.io_binding()
        for name, value in zip(self._inputs, placed, strict=True):
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name, self._memory, self._device)
        self._session.run_with_iobinding(binding)
        return list(binding.get_outputs())

    def fetch(self, outputs: list[Any]) -> Tensors:
        """Copies in the host's memory."""
        return to_tensors([one.numpy() for one in outputs])


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
    if not by_provider:
        return None
    return Coverage(
        taken=by_provider[provider],
        total=by_provider.total(),
        fallbacks=fallbacks,
        subgraphs=1 if provider == HOST else len(pieces),
    )

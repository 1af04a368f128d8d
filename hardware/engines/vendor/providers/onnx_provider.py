"""A vendor's provider in ONNX Runtime, over an ONNX file in the precision's types."""

from __future__ import annotations

from typing import Any, ClassVar

from hardware.engines.exported.onnx_session import BoundSession, OnnxSession, SessionRequest
from hardware.engines.exported.onnx_types import evidence_of
from hardware.engines.exported.onnxruntime import LEVELS, MEMORY, Onnxruntime
from hardware.engines.graph import Graph, Placement
from hardware.engines.vendor.from_onnx import require_precision
from hardware.engines.vendor.typed_onnx import typed_onnx


class OnnxProvider(Onnxruntime):
    """A session over the vendor's provider; the host takes what it leaves."""

    known_options: ClassVar[tuple[str, ...]] = ("provider_options", "memory", "level", "threads")
    extra: ClassVar[str | None] = None
    on_host: ClassVar[bool] = False
    reserved: ClassVar[frozenset[str]] = frozenset({"precision_mode", "precision_mode_v2"})
    """Of the provider's options, those that would change what the precision means."""

    def compile(self, graph: Graph, placement: Placement) -> OnnxSession:
        """Export in the precision's types, then have the provider compile its part.

        Raises:
            HardwareUnavailableError: this build of ONNX Runtime has no such provider, or it does not start.
            PrecisionUnsupportedError: it cannot serve in the precision.
            UnsupportedGraphError: the network does not export to ONNX.
            ValueError: an option of the provider's that the precision decides.
        """
        require_precision(self, placement.precision)
        given = dict(self.options.get("provider_options") or {})
        if taken := self.reserved & {*given}:
            raise ValueError(f"provider_options: {', '.join(sorted(taken))} follows from precision=")
        provider = self.provider()
        exported = typed_onnx(graph, placement)
        request = SessionRequest(
            path=exported.path,
            provider=provider,
            provider_options=self.own_options(placement) | given,
            level=LEVELS[self.options["level"]],
            threads=int(self.options.get("threads") or 0),
        )
        evidence = evidence_of(exported.path)
        memory = str(self.options.get("memory") or MEMORY.get(provider) or "cpu")
        device = 0 if memory == "cpu" else placement.device.index or 0
        return BoundSession(exported, graph, request, evidence, memory=memory, device=device)

    def own_options(self, placement: Placement) -> dict[str, Any]:
        """The provider's options that follow from the case."""
        return {"device_id": placement.device.index or 0}

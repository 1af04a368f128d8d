"""`compiler=onnxruntime`: ONNX Runtime, on the host or through a provider of the vendor's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.engines.base import Engine
from hardware.engines.exported.onnx_file import Exported, halved, onnx_file
from hardware.engines.exported.onnx_int8 import METHODS, quantised, signed_here
from hardware.engines.exported.onnx_session import HOST, BoundSession, HostSession, OnnxSession, SessionRequest
from hardware.engines.exported.onnx_types import evidence_of
from hardware.engines.graph import Graph, Placement
from hardware.precision.evidence import Evidence

LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
TENSORRT_FLAGS = {"fp16_true": "trt_fp16_enable", "int8": "trt_int8_enable"}
"""Without them TensorRT computes the graph's narrow types in float32."""
MEMORY: dict[str, str | None] = {
    HOST: None,
    "DnnlExecutionProvider": None,
    "XnnpackExecutionProvider": None,
    CUDA: "cuda",
    TENSORRT: "cuda",
    "CANNExecutionProvider": "cann",
    "DmlExecutionProvider": "dml",
}
"""Where providers keep tensors, as ONNX Runtime names memory; None: in the host's."""


class Onnxruntime(Engine):
    """A session over one provider, with the host's for nodes that it does not take."""

    known_options: ClassVar[tuple[str, ...]] = (
        *("provider", "provider_options", "memory", "level", "threads"),
        "calibration",
    )
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "tf32", "fp16_true", "int8")
    modules: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx", "onnxscript")
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnxruntime-gpu", "onnx", "onnxscript")
    extra: ClassVar[str | None] = "onnxruntime"
    default_provider: ClassVar[str] = HOST

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        for name, default, known in (("level", "all", LEVELS), ("calibration", "minmax", METHODS)):
            self.options[name] = str(options.get(name) or default)
            if self.options[name] not in known:
                raise ValueError(f"{name}={self.options[name]} is unknown; there are {', '.join(known)}")

    def compile(self, graph: Graph, placement: Placement) -> OnnxSession:
        """Export, then have a session optimise the graph for its provider.

        Raises:
            HardwareUnavailableError: this build of ONNX Runtime has no such provider, or it does not start.
            PrecisionUnsupportedError: the provider does not compute in the precision.
            UnsupportedGraphError: the network does not export to ONNX.
            ValueError: nobody said where an unknown provider keeps tensors.
        """
        provider = self.provider()
        precision = placement.precision.name
        self._check(provider, precision)
        memory = self._memory(provider)
        exported = onnx_file(halved(graph) if precision == "fp16_true" else graph, placement)
        if precision == "int8":
            signed = provider != HOST or signed_here()
            method = self.options["calibration"]
            exported = quantised(exported, graph, placement, method=method, signed=signed)
        request = SessionRequest(
            path=exported.path,
            provider=provider,
            provider_options=self._provider_options(provider, placement),
            level=LEVELS[self.options["level"]],
            threads=int(self.options.get("threads") or 0),
        )
        evidence = self._evidence(exported, request, placement)
        if memory is None:
            return HostSession(exported, graph, request, evidence)
        device = placement.device.index or 0
        return BoundSession(exported, graph, request, evidence, memory=memory, device=device)

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

    def _check(self, provider: str, precision: str) -> None:
        """Refuse what the provider would compute in another type without a word."""
        if precision == "tf32" and provider != CUDA:
            raise PrecisionUnsupportedError(f"{provider} has no switch for TF32; {CUDA} has")
        if precision == "fp16_true" and MEMORY.get(provider, "vendor") is None:
            raise PrecisionUnsupportedError(f"{provider} computes float16 products in float32")
        if precision == "fp32" and provider == TENSORRT and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0":
            raise PrecisionUnsupportedError(
                f"{TENSORRT} lets TensorRT compute float32 products in TF32. Set NVIDIA_TF32_OVERRIDE=0 in the "
                f"environment, or choose {CUDA}"
            )
        if precision == "int8" and provider not in (HOST, TENSORRT):
            raise PrecisionUnsupportedError(f"{provider} is not known to multiply integers; {HOST} and {TENSORRT} are")

    def _memory(self, provider: str) -> str | None:
        """Where inputs have to be and outputs are left; None: in the host's memory."""
        if self.options.get("memory"):
            return str(self.options["memory"])
        if provider not in MEMORY:
            raise ValueError(f"options.memory must say where {provider} keeps tensors: cpu, cuda, cann, dml, gpu, npu")
        return MEMORY[provider]

    def _provider_options(self, provider: str, placement: Placement) -> dict[str, Any]:
        """The case's, with the device, and TF32 as the precision says: it is on by default."""
        own: dict[str, Any] = {"device_id": placement.device.index or 0} if MEMORY.get(provider) else {}
        if provider == CUDA:
            own["use_tf32"] = int(placement.precision.matmul == "tf32")
        if provider == TENSORRT:
            own |= {flag: True for name, flag in TENSORRT_FLAGS.items() if name == placement.precision.name}
        return own | dict(self.options.get("provider_options") or {})

    def _evidence(self, exported: Exported, request: SessionRequest, placement: Placement) -> Evidence:
        """From the graph that is run where the host runs integers, else from the one given.

        Providers other than the host's and CUDA's compile that to something of which they tell nothing.
        """
        if placement.precision.served == "int8" and request.provider == HOST:
            return evidence_of(_as_run(request, placement.folder), fused=True)
        found, asked = evidence_of(exported.path), placement.precision.matmul == "tf32"
        if request.provider in (HOST, CUDA) and not asked:
            return found
        compute = ("tf32",) if asked else found.compute
        detail = f"{found.detail} of the graph that {request.provider} was given{' with TF32' if asked else ''}"
        return replace(found, compute=compute, source="asked", detail=detail)


def _as_run(request: SessionRequest, folder: Path) -> Path:
    """The graph as a session has optimised it: it fuses quantised products, or leaves them in float32."""
    import onnxruntime

    path = folder / "as_run.onnx"
    settings = request.settings()
    settings.optimized_model_filepath = str(path)
    settings.add_session_config_entry("session.optimized_model_external_initializers_file_name", "as_run.bin")
    onnxruntime.InferenceSession(str(request.path), settings, providers=request.providers())
    return path

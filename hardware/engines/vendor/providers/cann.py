"""`compiler=cann`: ONNX Runtime with Huawei's provider for Ascend NPUs (package onnxruntime-cann).

CANN's own default computes float32 networks in float16 (`precision_mode=force_fp16`); here it always keeps the types of
the ONNX graph (`must_keep_origin_dtype`), which are the precision's.

Source: onnxruntime.ai/docs/execution-providers/community-maintained/CANN-ExecutionProvider (1.22; read 2026-11).
"""

from __future__ import annotations

from typing import Any, ClassVar

from hardware.engines.graph import Placement
from hardware.engines.vendor.providers.onnx_provider import OnnxProvider


class Cann(OnnxProvider):
    """A session over CANNExecutionProvider."""

    precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16", "fp16_true")
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime-cann", "onnx", "onnxscript")
    obtained: ClassVar[str | None] = "pip install onnxruntime-cann onnx onnxscript, and CANN as its table asks for"
    default_provider: ClassVar[str] = "CANNExecutionProvider"

    def own_options(self, placement: Placement) -> dict[str, Any]:
        """Types as they are in the graph, compiled as one graph, nothing written beside it."""
        return {
            **super().own_options(placement),
            "precision_mode": "must_keep_origin_dtype",
            "enable_cann_graph": True,
            "dump_om_model": False,
        }

"""`compiler=macart`: MetaX's build of ONNX Runtime, which has a provider of its own for its GPUs.

The types are written into the ONNX graph, which ONNX Runtime takes as they are. No public source names the provider's
options beyond `device_id`, nor a switch of TF32: fp32 is held to its word by the numerics.

Source: FlagPerf inference/inference_engine/metax/macart.py (provider and option; read 2026-11).
"""

from __future__ import annotations

from typing import ClassVar

from hardware.engines.vendor.providers.onnx_provider import OnnxProvider


class Macart(OnnxProvider):
    """A session over MACAExecutionProvider."""

    precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16", "fp16_true")
    obtained: ClassVar[str | None] = "MetaX's build of onnxruntime comes with MACA; onnx and onnxscript from PyPI"
    default_provider: ClassVar[str] = "MACAExecutionProvider"

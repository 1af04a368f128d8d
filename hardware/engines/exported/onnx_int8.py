"""An ONNX model quantised to 8-bit integers by ONNX Runtime's own quantiser, before it is run: QDQ form."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hardware.engines.exported.host_arrays import to_arrays
from hardware.engines.exported.onnx_file import NAME, Exported, is_large
from hardware.engines.graph import Graph, Placement, calibration_batches, keep

METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
PRODUCTS_ALONE: dict[str, Any] = {
    "op_types_to_quantize": ["Conv", "ConvTranspose", "Gemm", "MatMul"],
    "extra_options": {"AddQDQPairToWeight": True, "DedicatedQDQPair": True, "QuantizeBias": False},
}
"""Quantiser's arguments for the explicit quantisation that TensorRT and MIGraphX read: pairs of QuantizeLinear and
DequantizeLinear at the operands of products, weights among them, and biases as they are."""
X86 = frozenset({"x86_64", "amd64", "i386", "i686"})


def quantised(
    exported: Exported, graph: Graph, placement: Placement, *, method: str, signed: bool, products_alone: bool = False
) -> Exported:
    """The model with ranges chosen by the calibration batches, one for each output channel of a weight.

    Args:
        exported: the model in float32.
        graph: where it came from.
        placement: its calibration batches; the model is kept in its folder.
        method: how a range is chosen; a key of `METHODS`.
        signed: activations as signed integers around zero, as ARM processors and TensorRT take them, and not as
            unsigned ones with a zero point, which are quicker on x86 (ONNX Runtime, "Quantize ONNX models").
        products_alone: whether everything but the operands of products stays in float32; see `PRODUCTS_ALONE`.
    """
    folder = placement.folder / "onnx_int8"
    began_s = time.perf_counter()
    arguments = dict(PRODUCTS_ALONE) if products_alone else {}
    arguments["extra_options"] = {"ActivationSymmetric": signed, **arguments.get("extra_options", {})}
    arguments["calibrate_method"] = METHODS[method]

    def write(draft: Path) -> None:
        _quantise(exported.path, draft, graph, placement, signed=signed, arguments=arguments)

    if keep(folder, write):
        return Exported(folder / NAME, (exported.seconds or 0.0) + time.perf_counter() - began_s, None)
    return Exported(folder / NAME, None, "an earlier run had quantised it")


def signed_here() -> bool:
    """Whether this processor multiplies signed activations at least as fast as unsigned ones."""
    return platform.machine().lower() not in X86


def saturates() -> bool:
    """Whether products of 8-bit integers overflow 16 bits here: x86 without VNNI needs weights of 7 bits."""
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return not signed_here() and not any(capabilities.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))


def _quantise(
    model: Path, folder: Path, graph: Graph, placement: Placement, *, signed: bool, arguments: dict[str, Any]
) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    large, prepared = is_large(graph), folder / "prepared.onnx"
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True, save_as_external_data=large)
    quantize_static(
        str(prepared),
        str(folder / NAME),
        _reader(graph, placement),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=not signed and saturates(),
        activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        use_external_data_format=large,
        calibrate_method=getattr(CalibrationMethod, arguments.pop("calibrate_method")),
        **arguments,
    )
    for one in folder.glob(f"{prepared.name}*"):
        one.unlink()


def _reader(graph: Graph, placement: Placement) -> Any:
    """The calibration batches as the quantiser asks for them: one dictionary after the other, then None."""
    from onnxruntime.quantization import CalibrationDataReader

    class OnnxCalibration(CalibrationDataReader):
        def __init__(self) -> None:
            self.left: Iterator[dict[str, Any]] = (
                dict(zip(graph.input_names, to_arrays(batch), strict=True))
                for batch in calibration_batches(graph, placement)
            )

        def get_next(self) -> dict[str, Any] | None:
            return next(self.left, None)

    return OnnxCalibration()

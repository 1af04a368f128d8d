"""Lightning's precision plugins, built so that they do exactly what a `PrecisionSpec` says.

Plugins are made as objects, never by name: Lightning reads the name `16-mixed` on a CPU as `bf16-mixed`
(`_AcceleratorConnector._check_and_init_precision`), and a scaler that finds no device switches itself off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from hardware.base import PrecisionUnsupportedError
from hardware.spec import PrecisionSpec, VendorSpec


def require_listed(precision: PrecisionSpec, spec: VendorSpec) -> None:
    """Refuse a precision that the vendor's YAML does not list.

    Raises:
        PrecisionUnsupportedError: names the precisions that are listed.
    """
    if precision.name not in spec.precisions:
        raise PrecisionUnsupportedError(
            f"{spec.title} does not offer precision={precision.name}; it offers {', '.join(spec.precisions)}"
        )


def build_plugin(precision: PrecisionSpec, *, device_type: str, make_scaler: Callable[[bool], Any]) -> Any:
    """The plugin that does `precision` on devices of `device_type`.

    Args:
        precision: what shall really run.
        device_type: torch's name of it, `cpu` or `cuda`; autocast is bound to one.
        make_scaler: makes the gradient scaler; its argument says whether it scales.

    Raises:
        PrecisionUnsupportedError: no plugin does this combination.
    """
    from pytorch_lightning.plugins.precision import HalfPrecision, MixedPrecision, Precision

    _require_meaningful(precision)
    if precision.weights != "float32":
        kind: Literal["16-true", "bf16-true"] = "16-true" if precision.weights == "float16" else "bf16-true"
        return HalfPrecision(kind)
    if precision.autocast == "float16":
        # Without a scaler of ours the plugin makes an enabled one of its own.
        scaler = make_scaler(precision.loss_scaling)
        if scaler.is_enabled() != precision.loss_scaling:
            raise PrecisionUnsupportedError(
                f"{precision.name}: the gradient scaler for {device_type} switched itself off"
            )
        return MixedPrecision("16-mixed", device_type, scaler)
    if precision.autocast == "bfloat16":
        return MixedPrecision("bf16-mixed", device_type)
    return Precision()


def _require_meaningful(precision: PrecisionSpec) -> None:
    problem = None
    if precision.autocast == "float32":
        problem = "autocast to float32 changes nothing; write null"
    elif precision.weights != "float32" and precision.autocast is not None:
        problem = f"autocast needs float32 weights, not {precision.weights}"
    elif precision.weights != "float32" and precision.matmul == "tf32":
        problem = f"tf32 is a way to multiply float32 matrices; the weights are {precision.weights}"
    elif precision.loss_scaling and precision.autocast != "float16":
        problem = "loss scaling belongs to autocast in float16"
    if problem is not None:
        raise PrecisionUnsupportedError(f"precision {precision.name} is not one that can be run: {problem}")

"""How torch multiplies float32 matrices: IEEE single precision or TF32, for products and convolutions alike.

torch has two sets of switches. `allow_tf32` and `set_float32_matmul_precision` are the older; since 2.9 there is
`fp32_precision` per back-end and operation. Setting the newer ones alone makes the older ones' getters raise ("mix of
the legacy and new APIs"), and Lightning and inductor read those. The older ones rewrite the newer state, so they go
first. Left alone, torch computes cuDNN convolutions in TF32.
"""

from __future__ import annotations

from typing import Any

from hardware.base import PrecisionUnsupportedError

MODES = ("ieee", "tf32")


def require_mode(mode: str) -> None:
    """Refuse a mode that nobody knows.

    Raises:
        PrecisionUnsupportedError: it is neither `ieee` nor `tf32`.
    """
    if mode not in MODES:
        raise PrecisionUnsupportedError(f"float32 products can be computed as {' or '.join(MODES)}, not as {mode!r}")


def set_cuda_mode(mode: str) -> None:
    """Compute float32 products, convolutions and recurrences of the `cuda` back-end as `mode`.

    Raises:
        PrecisionUnsupportedError: torch still says otherwise afterwards.
    """
    import torch

    require_mode(mode)
    tf32 = mode == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    for operation in ("conv", "rnn"):
        _set_new(getattr(torch.backends.cudnn, operation, None), mode)
    found = {"cuda.matmul": torch.backends.cuda.matmul.allow_tf32, "cudnn": torch.backends.cudnn.allow_tf32}
    wrong = [name for name, value in found.items() if value is not tf32]
    if wrong:
        raise PrecisionUnsupportedError(
            f"float32 cannot be set to {mode}: torch.backends.{' and '.join(wrong)} keep allow_tf32={not tf32}. "
            "Is TORCH_ALLOW_TF32_CUBLAS_OVERRIDE set?"
        )


def set_cpu_ieee() -> None:
    """Compute float32 products and convolutions of the CPU in IEEE single precision, without oneDNN's bfloat16."""
    import torch

    torch.set_float32_matmul_precision("highest")
    for operation in ("matmul", "conv", "rnn"):
        _set_new(getattr(torch.backends.mkldnn, operation, None), "ieee")


def _set_new(switch: Any, mode: str) -> None:
    if hasattr(switch, "fp32_precision"):
        switch.fp32_precision = mode

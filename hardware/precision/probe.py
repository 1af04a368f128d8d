"""What really runs, found out on the device before training, and whether it is what the precision promises.

Types are read off tensors, not off settings. How many bits a float32 product keeps is measured: a matrix with 1 + 2^-k
on its diagonal times the identity must give itself back. IEEE single precision keeps 23 bits behind the point, TF32 10,
bfloat16 7 (NVIDIA Ampere architecture white paper, 2020); zeros make the result independent of the order of summation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from hardware.base import PrecisionUnsupportedError
from hardware.spec import PrecisionSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

MANTISSA_BITS = {"ieee": 23, "tf32": 10}
"""Bits behind the point that a product keeps in each float32 mode."""

_SIZES = (128, 1024)
"""Orders of the matrices multiplied; libraries choose other kernels for small ones than for large ones."""

_CHANNELS, _SIDE = 256, 16
"""Shape of the convolution: one picture element per channel."""


def probe(
    module: nn.Module,
    device: torch.device,
    forward_context: Callable[[], AbstractContextManager[Any]],
    *,
    plugin: Any = None,
    optimizers: Iterable[torch.optim.Optimizer] = (),
) -> dict[str, Any]:
    """What really runs on `device`.

    Args:
        module: the model, after the precision plugin has converted it.
        device: where it runs.
        forward_context: the precision plugin's `forward_context`.
        plugin: the precision plugin, for its gradient scaler; without it `gradient_scaler` is None.
        optimizers: their parameters are the master weights; without any `master_weights` is None.

    Returns:
        Plain values for the report: `parameters` (floating-point types, sorted), `autocast` (type of a float32 product
        inside the context; None when it stays float32), `matmul_mantissa_bits`, `convolution_mantissa_bits` (outside
        autocast; None with `convolution_reason` where the device has no convolution), `gradient_scaler` (whether one
        scales), `master_weights` (floating-point types, sorted).
    """
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    bits, reason = _convolution_bits(device)
    return {
        "parameters": _dtypes(module.parameters()),
        "autocast": _autocast_dtype(device, forward_context),
        "matmul_mantissa_bits": min(_matmul_bits(device, size) for size in _SIZES),
        "convolution_mantissa_bits": bits,
        "convolution_reason": reason,
        "gradient_scaler": None if plugin is None else _scales(plugin),
        "master_weights": _dtypes(weight for group in groups for weight in group["params"]) if groups else None,
    }


def check(found: dict[str, Any], precision: PrecisionSpec) -> None:
    """Hold what `probe` found to what was asked for.

    Mixed precision is what is multiplied and what is updated: autocast of wide weights, or narrow copies of them.

    Args:
        found: as `probe` returns it; a framework may add `products`, the types that it saw multiplied (sorted).
        precision: what was asked for.

    Raises:
        PrecisionUnsupportedError: lists every difference, expected and found.
    """
    weights, bits = [precision.weights], MANTISSA_BITS[precision.matmul]
    narrow = _narrow_copies(found, precision)
    expected: dict[str, Any] = {
        "parameters": [precision.autocast] if narrow else weights,
        "autocast": None if narrow else precision.autocast,
        "matmul_mantissa_bits": bits,
    }
    if "products" in found:
        expected["products"] = [precision.autocast or precision.weights]
    if found["gradient_scaler"] is not None:
        expected["gradient_scaler"] = precision.loss_scaling
    if found["master_weights"] is not None:
        expected["master_weights"] = weights
    wrong = [
        f"{name}: expected {value}, found {found[name]}" for name, value in expected.items() if found[name] != value
    ]
    # With TF32 allowed, libraries may still choose a convolution that keeps more bits; IEEE may lose none.
    kept = found["convolution_mantissa_bits"]
    if kept is not None and kept < bits:
        wrong.append(f"convolution_mantissa_bits: expected {bits}, found {kept}")
    if wrong:
        raise PrecisionUnsupportedError(
            f"precision={precision.name} is not what really runs here: {'; '.join(wrong)}. "
            "Choose the precision that does run, or remove what overrides it (environment variables, vendor settings)."
        )


def _narrow_copies(found: dict[str, Any], precision: PrecisionSpec) -> bool:
    """Whether products are mixed precision's without autocast: of narrow copies of the weights that are updated."""
    if precision.autocast is None or found["master_weights"] is None:
        return False
    return bool(found["parameters"] == [precision.autocast] and found["master_weights"] == [precision.weights])


def _scales(plugin: Any) -> bool:
    scaler = getattr(plugin, "scaler", None)
    return scaler is not None and bool(scaler.is_enabled())


def _dtypes(tensors: Iterable[torch.Tensor]) -> list[str]:
    return sorted({_name(tensor.dtype) for tensor in tensors if tensor.is_floating_point()})


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _autocast_dtype(device: torch.device, forward_context: Callable[[], AbstractContextManager[Any]]) -> str | None:
    import torch

    ones = torch.ones(16, 16, device=device, dtype=torch.float32)
    with torch.no_grad(), forward_context():
        dtype = torch.matmul(ones, ones).dtype
    return None if dtype == torch.float32 else _name(dtype)


def _ladder(size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Exponents k, 1…23 over and over, and 1 + 2^-k, both float32 of shape (size,)."""
    import torch

    exponents = (torch.arange(size, device=device) % MANTISSA_BITS["ieee"] + 1).to(torch.float32)
    return exponents, 1 + torch.exp2(-exponents)


def _bits_kept(exponents: torch.Tensor, values: torch.Tensor, result: torch.Tensor) -> int:
    """Largest b such that 1 + 2^-k survived for every k up to b; errors below half of 2^-k leave it in place."""
    # On the host: some devices have no float64.
    exponents, values, result = (one.detach().cpu().double() for one in (exponents, values, result))
    error = (result - values).abs()
    lost = exponents[~(error < 0.5 * (-exponents).exp2())]  # written so that NaN is lost too
    return MANTISSA_BITS["ieee"] if lost.numel() == 0 else int(lost.min()) - 1


def _matmul_bits(device: torch.device, size: int) -> int:
    import torch

    exponents, values = _ladder(size, device)
    diagonal, identity = torch.diag(values), torch.eye(size, device=device, dtype=torch.float32)
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        products = torch.matmul(diagonal, identity), torch.matmul(identity, diagonal)
    return min(_bits_kept(exponents, values, product.diagonal()) for product in products)


def _convolution_bits(device: torch.device) -> tuple[int | None, str | None]:
    """Bits that a 1 x 1 convolution keeps; larger kernels may be transformed (Winograd), which rounds in any mode."""
    import torch

    exponents, values = _ladder(_CHANNELS, device)
    pictures = torch.eye(_CHANNELS, device=device, dtype=torch.float32).reshape(1, _CHANNELS, _SIDE, _SIDE)
    kernels = torch.diag(values).reshape(_CHANNELS, _CHANNELS, 1, 1)
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            result = torch.nn.functional.conv2d(pictures, kernels)
    except (RuntimeError, NotImplementedError) as error:
        return None, f"the convolution failed: {error}"
    return _bits_kept(exponents, values, result.reshape(_CHANNELS, _CHANNELS).diagonal()), None

"""How many bits a runtime's float32 products keep, measured with nothing but its product; see `probe` for the idea."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MOST_BITS = 23
SIZES = (128, 1024)
"""Orders of the matrices multiplied; libraries choose other kernels for small ones than for large ones."""
CHANNELS, SIDE = 256, 16
"""Shape of the convolution: one picture element per channel."""


def matmul_bits(multiply: Callable[[Array, Array], Any]) -> int:
    """Bits behind the point that a product of float32 matrices keeps.

    Args:
        multiply: two float32 matrices to their product on the device, as an array of the host.
    """
    found = []
    for size in SIZES:
        exponents, values = _ladder(size)
        diagonal, identity = np.diag(values), np.eye(size, dtype=np.float32)
        for left, right in ((diagonal, identity), (identity, diagonal)):
            found.append(_bits_kept(exponents, values, np.asarray(multiply(left, right)).diagonal()))
    return min(found)


def convolution_bits(convolve: Callable[[Array, Array], Any]) -> int:
    """Bits that a 1 x 1 convolution keeps; larger kernels may be transformed (Winograd), which rounds in any mode.

    Args:
        convolve: pictures (1, 256, 16, 16) and kernels (256, 256, 1, 1) in torch's layout, float32, to pictures of the
            same shape.
    """
    exponents, values = _ladder(CHANNELS)
    pictures = np.eye(CHANNELS, dtype=np.float32).reshape(1, CHANNELS, SIDE, SIDE)
    kernels = np.diag(values).reshape(CHANNELS, CHANNELS, 1, 1)
    result = np.asarray(convolve(pictures, kernels))
    return _bits_kept(exponents, values, result.reshape(CHANNELS, CHANNELS).diagonal())


def _ladder(size: int) -> tuple[Array, Array]:
    """Exponents k, 1…23 over and over, and 1 + 2^-k, both float32 of shape (size,)."""
    exponents = (np.arange(size) % MOST_BITS + 1).astype(np.float32)
    return exponents, (1 + np.exp2(-exponents)).astype(np.float32)


def _bits_kept(exponents: Array, values: Array, result: Array) -> int:
    """Largest b such that 1 + 2^-k survived for every k up to b; NaN is lost."""
    error = np.abs(result.astype(np.float64) - values.astype(np.float64))
    lost = exponents[~(error < 0.5 * np.exp2(-exponents.astype(np.float64)))]
    return MOST_BITS if lost.size == 0 else int(lost.min()) - 1

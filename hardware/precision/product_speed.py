"""Whether a narrow type is fast on a device, or only there: libraries compute in software what the hardware lacks.

PyTorch multiplies bfloat16 and float16 on processors and GPUs without such instructions too, ten to sixty times slower
than float32. That is what then runs, and what is measured; but nobody asks for it on purpose.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LEAST_S = 0.0002
"""A float32 product must take so long, or starting it would be all that is timed."""
_LEAST_ORDER, _MOST_ORDER = 256, 2048
"""The allocator keeps what the products held, 16 MiB a matrix at most: a case's reserved memory must not show them."""
_TRIES = 3
"""The fastest counts; one more, the first, is not timed."""


def time_to_float32(
    dtype: torch.dtype,
    device: torch.device,
    synchronize: Callable[[], None],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Time of a square matrix product in `dtype` ÷ time of the same product in float32.

    Args:
        dtype: of both factors and the product.
        device: where.
        synchronize: waits for the device.
        clock: in seconds.
    """
    import torch

    def seconds(order: int, of: torch.dtype) -> float:
        factor = torch.ones(order, order, device=device, dtype=of)
        return min([_timed(factor, synchronize, clock) for _ in range(1 + _TRIES)][1:])

    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        order = _LEAST_ORDER
        while (reference_s := seconds(order, torch.float32)) < LEAST_S and order < _MOST_ORDER:
            order *= 2
        return seconds(order, dtype) / reference_s


def _timed(factor: torch.Tensor, synchronize: Callable[[], None], clock: Callable[[], float]) -> float:
    synchronize()
    began_s = clock()
    factor @ factor
    synchronize()
    return clock() - began_s

"""Tensors on the host as NumPy arrays and back, for engines that know no torch; shared memory where types allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hardware.engines.graph import Tensors

if TYPE_CHECKING:
    import numpy as np


def to_arrays(tensors: Tensors) -> list[np.ndarray[Any, Any]]:
    """Contiguous arrays of the same memory."""
    return [one.detach().cpu().contiguous().numpy() for one in tensors]


def to_tensors(arrays: Sequence[Any]) -> Tensors:
    """Tensors of the same memory; what an engine may write over is for it to copy."""
    import numpy as np
    import torch

    return tuple(torch.from_numpy(np.ascontiguousarray(one)) for one in arrays)

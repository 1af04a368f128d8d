"""Between torch's tensors and NumPy's arrays, bfloat16 included, which NumPy knows from ml_dtypes alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def to_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """The same numbers on the host; bfloat16 becomes float32, which holds every one of them."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).contiguous().numpy()


def to_tensor(array: Any) -> Tensor:
    """The same numbers as a tensor with memory of its own; ml_dtypes' bfloat16 stays bfloat16."""
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(np.array(array, copy=True))

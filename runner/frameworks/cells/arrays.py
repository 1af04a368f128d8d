"""Batches of the original as MindSpore's tensors."""

from __future__ import annotations

from mindspore import Tensor
from torch import Tensor as TorchTensor

from models.datasets.base import Batch
from models.ports.arrays import to_array
from models.ports.port import Arrays


def placed(batch: Batch) -> Arrays:
    """A batch's tensors, with memory of their own, which the device takes when they are first used.

    Integers are narrowed: MindSpore's losses take classes of 32 bits. What is no tensor stays as it is.
    """
    found: Arrays = dict(batch)
    for name, one in batch.items():
        if isinstance(one, TorchTensor):
            array = to_array(one)
            found[name] = Tensor(array.astype("int32") if array.dtype == "int64" else array)
    return found

"""What Paddle's CPU build lacks of fleet's tensor parallelism, put together from its all-reduce over gloo.

Found with Paddle 3.3.1: the operators behind fleet's layers (`c_identity`, `mp_allreduce`,
`c_softmax_with_cross_entropy`, `c_embedding` of narrow types) have no CPU kernels, and gloo's sum of float16 is
infinite. Devices keep Paddle's own.
"""

from __future__ import annotations

from typing import Any

import paddle
from paddle import Tensor
from paddle.autograd import PyLayer
from paddle.distributed import ReduceOp
from paddle.distributed.fleet.layers.mpu import mp_ops
from paddle.nn import functional


def install() -> None:
    """Give fleet's layers these in the place of the operators."""
    mp_ops._c_identity = identity
    mp_ops._mp_allreduce = summed
    mp_ops._c_lookup_table = looked_up
    mp_ops._c_softmax_with_cross_entropy = cross_entropy


def all_reduce(tensor: Tensor, group: Any, op: Any = ReduceOp.SUM) -> Tensor:
    """A tensor of its own with the ranks' sum; float16 is added up in float32."""
    own = tensor.astype("float32") if tensor.dtype == paddle.float16 else tensor.clone()
    paddle.distributed.all_reduce(own, op=op, group=group)
    return own.astype(tensor.dtype)


class IdentityOnHost(PyLayer):
    """Enters a split layer: as it is; its gradients are added up."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Any) -> Tensor:
        """A copy."""
        ctx.group = group
        return tensor.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """The ranks' sum."""
        return all_reduce(gradient, ctx.group)


class SumOnHost(PyLayer):
    """Leaves a split layer: added up; its gradient is every rank's."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Any) -> Tensor:
        """The ranks' sum."""
        return all_reduce(tensor, group)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """As it is."""
        return gradient.clone()


def identity(tensor: Tensor, group: Any = None, skip_c_identity_dynamic: bool = False) -> Tensor:
    """`mp_ops._c_identity`."""
    found: Tensor = IdentityOnHost.apply(tensor, group)
    return found


def summed(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, **_: Any) -> Tensor:
    """`mp_ops._mp_allreduce`, which only sums."""
    found: Tensor = SumOnHost.apply(tensor, group)
    return found


def looked_up(table: Tensor, index: Tensor, start_index: int = 0, vocab_size: int = -1, name: Any = None) -> Tensor:
    """`mp_ops._c_lookup_table`: rows of a share of the table, 0 for what other ranks have."""
    own = (index >= start_index) & (index < start_index + table.shape[0])
    rows = functional.embedding(paddle.where(own, index - start_index, paddle.zeros_like(index)), table)
    return rows * own.unsqueeze(-1).astype(rows.dtype)


def cross_entropy(
    logits: Tensor, label: Tensor, group: Any = None, return_softmax: bool = False, ignore_index: int = -100
) -> Tensor:
    """`mp_ops._c_softmax_with_cross_entropy`.

    Args:
        logits: (..., share of the vocabulary), float32.
        label: (..., 1), of the whole vocabulary.
        group: the tensor group; each rank has the share of its place in it.
        return_softmax: not done here.
        ignore_index: a label without a loss.

    Returns:
        (..., 1), 0 where a label is ignored.
    """
    width = logits.shape[-1]
    greatest = all_reduce(logits.detach().max(axis=-1, keepdim=True), group, ReduceOp.MAX)
    moved = logits - greatest
    total = summed(moved.exp().sum(axis=-1, keepdim=True), group=group)
    place = label - group.rank * width
    own = (place >= 0) & (place < width)
    chosen = paddle.take_along_axis(moved, paddle.where(own, place, paddle.zeros_like(place)), -1)
    chosen = summed(chosen * own.astype(chosen.dtype), group=group)
    return (total.log() - chosen) * (label != ignore_index).astype(logits.dtype)

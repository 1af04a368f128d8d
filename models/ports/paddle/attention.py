"""Attention: Paddle's fused kernel where its device has one, else the plain formula with a float32 softmax."""

from __future__ import annotations

import paddle
from paddle import Tensor
from paddle.nn import functional

NARROW = (paddle.float16, paddle.bfloat16)
"""Types that the kernels take."""


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    causal: bool = False,
    seen: Tensor | None = None,
    dropout: float = 0.0,
    training: bool = False,
) -> Tensor:
    """Each place of the query's mean of the values, weighted by how its products with the keys compare.

    Args:
        query: (batch, length, heads, head size).
        key: the same, or with fewer heads, which groups of the query's share.
        value: as `key`.
        causal: whether a place sees only itself and what comes before it.
        seen: bool (batch, 1, 1 or length, length): which keys a place sees; None for all.
        dropout: probability with which a weight is dropped in training.
        training: whether weights are dropped.

    Returns:
        Shape of `query`, type of `value`.
    """
    query, key = (one if one.dtype == value.dtype else one.astype(value.dtype) for one in (query, key))
    if has_kernel(value.dtype):
        mask = None if seen is None else _penalty(seen, value.dtype)
        return functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=dropout if training else 0.0,
            is_causal=causal,
            training=training,
        )
    key, value = (_repeated(one, query.shape[2] // one.shape[2]) for one in (key, value))
    query, key, value = (one.transpose([0, 2, 1, 3]) for one in (query, key, value))
    products = paddle.matmul(query * query.shape[-1] ** -0.5, key, transpose_y=True).astype("float32")
    if causal:
        length = products.shape[-1]
        seen = paddle.tril(paddle.ones([length, length], dtype="bool"))
    if seen is not None:
        products = products + _penalty(seen, products.dtype)
    weights = functional.softmax(products, axis=-1).astype(value.dtype)
    if dropout and training:
        weights = functional.dropout(weights, dropout, training=True)
    return paddle.matmul(weights, value).transpose([0, 2, 1, 3])


def has_kernel(dtype: paddle.dtype) -> bool:
    """Whether `scaled_dot_product_attention` has a kernel for tensors of a type on the current device.

    Elsewhere Paddle takes a formula of its own, whose softmax is of the products' type.
    """
    built = paddle.is_compiled_with_cuda() or paddle.is_compiled_with_xpu()
    return bool(built and dtype in NARROW and paddle.get_device() != "cpu")


def _penalty(seen: Tensor, dtype: paddle.dtype) -> Tensor:
    """0 where something is seen, else a number that no product outweighs."""
    return (1.0 - seen.astype("float32")).scale(float(paddle.finfo(dtype).min)).astype(dtype)


def _repeated(heads: Tensor, times: int) -> Tensor:
    """Every head as often as queries share it: (batch, length, heads x times, head size)."""
    return heads if times == 1 else heads.repeat_interleave(times, axis=2)

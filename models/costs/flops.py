"""Counts the floating-point operations of a model's products.

torch's counter adds up what kernels do; published figures and MFU want what the model needs. The two differ where
something is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

ATEN = torch.ops.aten


class UncountedOperatorError(NotImplementedError):
    """A fused operator that multiplies matrices in a way no formula here covers: its count would be wrong."""


class ModelFlops(FlopCounterMode):
    """FLOPs of a model's products: matrix products, convolutions, attention. A multiply-add is two.

    Embeddings, normalisation, activations, losses and the optimizer are not products and count nothing, as in
    published figures. Masked attention counts in full, causal or not. What a kernel or activation checkpointing
    computes a second time is not the model's and counts once.
    """

    def __init__(self) -> None:
        super().__init__(display=False, custom_mapping=_formulas())
        self.backward = False
        """Set while autograd runs: what it runs with gradients enabled is a forward pass repeated by checkpointing."""

    def _count_flops(self, func_packet: Any, out: Any, args: Any, kwargs: Any) -> Any:
        if self.backward and torch.is_grad_enabled():
            return out
        return super()._count_flops(func_packet, out, args, kwargs)  # type: ignore[no-untyped-call]


def _formulas() -> dict[Any, Callable[..., int]]:
    """Formulas that torch's own registry lacks or that follow another convention there."""
    formulas: dict[Any, Callable[..., int]] = {
        ATEN.convolution_backward: _convolution_backward,
        ATEN.mv: lambda matrix, vector, **_: 2 * prod(matrix),
        ATEN.addmv: lambda bias, matrix, vector, **_: 2 * prod(matrix),
        ATEN.dot: lambda left, right, **_: 2 * prod(left),
        ATEN.addbmm: lambda bias, left, right, **_: 2 * prod(left) * right[-1],
    }
    formulas |= _if_known("_scaled_dot_product_flash_attention_for_cpu", _attention)
    for name in (
        "_scaled_dot_product_efficient_attention_backward",
        "_scaled_dot_product_flash_attention_backward",
        "_scaled_dot_product_flash_attention_for_cpu_backward",
    ):
        formulas |= _if_known(name, _attention_backward)
    formulas |= _if_known("_grouped_mm", _grouped_product)
    formulas |= _if_known("mkldnn_rnn_layer", _refuse("mkldnn_rnn_layer"))
    return formulas


def _if_known(name: str, formula: Callable[..., int]) -> dict[Any, Callable[..., int]]:
    """The formula under its operator, where this version of torch has it."""
    return {getattr(ATEN, name): formula} if hasattr(ATEN, name) else {}


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


def _attention_backward(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Twice forward. Fused kernels compute the scores once more, which torch's formula includes (2.5 times forward)."""
    return 2 * _attention(query, key, value)


def _grouped_product(left: Any, right: Any, *_: Any, **__: Any) -> int:
    """Every row, column or inner place belongs to one group: the number of groups counts only where both have it."""
    columns_are_shared_out = len(left) > len(right)
    return int(2 * prod(left[1:] if columns_are_shared_out else left) * right[-1])


def _convolution_backward(  # noqa: PLR0917
    gradient: Any,
    image: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    output_mask: Any,
    **_: Any,
) -> int:
    """As many as forward for each of input and weight gradient; torch's own is `groups` times too high for a weight."""
    positions = (image if transposed else gradient)[2:]
    forward: int = 2 * image[0] * prod(positions) * prod(weight)
    return forward * (bool(output_mask[0]) + bool(output_mask[1]))


def _refuse(name: str) -> Callable[..., int]:
    def formula(*_: Any, **__: Any) -> int:
        raise UncountedOperatorError(
            f"aten.{name} has no FLOP formula. Count this model on the meta device, where it runs as plain products."
        )

    return formula

"""Causal attention for transformers' decoders without a look at the data.

With its own names for attention, transformers inspects position ids on the device before every forward pass to find
packed sequences: a wait inside the measured window, and impossible on the meta device. A registered attention of
another name gets no mask at all, and needs none when every row is one causal sequence, padded at its end at most.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

CAUSAL = "touchstone_causal"
"""What a transformers configuration names as `attn_implementation`."""


def causal_attention(  # noqa: PLR0917 - the signature is transformers'
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Torch's fused attention, each position seeing itself and what came before.

    Args:
        module: the attention layer; part of transformers' signature.
        query: (batch, heads, length, head size).
        key: (batch, key heads, length, head size); fewer heads than the query's are shared.
        value: as `key`.
        attention_mask: must be None.
        dropout: probability with which a weight is dropped.
        scaling: factor of the products; None for 1/sqrt(head size).

    Returns:
        Tensor of shape (batch, length, heads, head size), and None for the weights.
    """
    assert attention_mask is None, "causal attention takes no mask"
    grouped = query.shape[1] != key.shape[1]
    mixed = scaled_dot_product_attention(
        query, key, value, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped
    )
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(CAUSAL, causal_attention)

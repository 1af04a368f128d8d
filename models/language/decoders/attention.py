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
    """Torch's fused attention, each position seeing itself and what came before, or what a mask lets it see.

    Args:
        module: the attention layer; part of transformers' signature.
        query: (batch, heads, length, head size).
        key: (batch, key heads, length, head size); fewer heads than the query's are shared.
        value: as `key`.
        attention_mask: None, or of one token that goes on from a cache, bool (1, 1, 1, places): which are written.
        dropout: probability with which a weight is dropped.
        scaling: factor of the products; None for 1/sqrt(head size).

    Returns:
        Tensor of shape (batch, length, heads, head size), and None for the weights.
    """
    assert attention_mask is None or query.shape[2] == 1, "causal attention takes no mask"
    mixed = scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        dropout_p=dropout,
        is_causal=attention_mask is None,
        scale=scaling,
        # torch.jit.trace counts sizes in tensors.
        enable_gqa=bool(query.shape[1] != key.shape[1]),
    )
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(CAUSAL, causal_attention)

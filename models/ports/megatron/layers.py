"""Layers that megatron-core takes from Transformer Engine or Apex, in torch's own form, on every device of torch's.

Its local normalisation refuses sequence parallelism, and its local attention writes every score to memory; the recipes
served here are trained with flash attention, which torch's fused attention is where the vendor has it.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from megatron.core import tensor_parallel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules
from megatron.core.transformer.transformer_config import TransformerConfig
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class TorchNorm:
    """Makes torch's normalisation of a configuration, its parameters marked as sequence parallelism wants them."""

    def __new__(cls, config: TransformerConfig, hidden_size: int, eps: float = 1e-5, **_: Any) -> Any:
        """The layer itself, as megatron-core's own wrapper does."""
        kind = nn.RMSNorm if config.normalization == "RMSNorm" else nn.LayerNorm
        norm = kind(hidden_size, eps=eps, dtype=config.params_dtype)
        for parameter in norm.parameters():
            setattr(parameter, "sequence_parallel", config.sequence_parallel)  # noqa: B010 -- a mark, not torch's
        return norm


class FusedAttention(MegatronModule):
    """Causal attention by torch's fused operator, as the original's; key-value heads are shared, not repeated."""

    def __init__(self, config: TransformerConfig, attention_dropout: float | None = None, **_: Any) -> None:
        super().__init__(config=config)
        self.dropout = config.attention_dropout if attention_dropout is None else attention_dropout

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **_: Any) -> Tensor:
        """Mix the values.

        Args:
            query: (length, batch, heads of this rank, head size).
            key: (length, batch, key-value heads of this rank, head size).
            value: as `key`.
            attention_mask: None; every row is one causal sequence.

        Returns:
            (length, batch, heads of this rank x head size).
        """
        assert attention_mask is None, "causal attention takes no mask"
        dropout = self.dropout if self.training else 0.0
        apart = dropout > 0 and not self.config.sequence_parallel  # under sequence parallelism the whole block is
        query, key, value = (one.permute(1, 2, 0, 3) for one in (query, key, value))
        with tensor_parallel.get_cuda_rng_tracker().fork() if apart else nullcontext():
            mixed = scaled_dot_product_attention(
                query,
                key,
                value,
                dropout_p=dropout,
                is_causal=True,
                enable_gqa=bool(query.shape[1] != key.shape[1]),
            )
        return mixed.permute(2, 0, 1, 3).flatten(2).contiguous()


def block_of(config: TransformerConfig) -> TransformerBlockSubmodules:
    """The layers of one pipeline stage: megatron-core's own, with the two above in their places."""
    spec = get_gpt_layer_local_spec(normalization=config.normalization)
    layer: Any = spec.submodules
    layer.input_layernorm = layer.pre_mlp_layernorm = TorchNorm
    layer.self_attention.submodules.core_attention = FusedAttention
    stages = config.pipeline_model_parallel_size
    return TransformerBlockSubmodules(layer_specs=[spec] * (config.num_layers // stages), layer_norm=TorchNorm)


def positions(length: int, batch: int, device: torch.device) -> Tensor:
    """Position ids, int64 (batch, length)."""
    return torch.arange(length, device=device).expand(batch, length)

"""Llama: rotary positions, RMSNorm before each block, SwiGLU; of every generation and of those built like it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.language.decoders.attention import CAUSAL
from models.language.decoders.decoder import DecoderSizes
from models.language.decoders.text_decoder import TextDecoder
from models.sharding.plan import TensorPlan
from models.weights import InitialWeights

ONTO_RESIDUAL = ("o_proj.weight", "down_proj.weight", "down_proj")
"""Ends of the names of what writes onto the residual stream."""
COMPUTED = "rotary_emb.inv_freq"
"""Computed, not learned."""


@dataclass(kw_only=True, slots=True)
class LlamaArchitecture(DecoderSizes):
    """Sizes of a Llama (Touvron et al. 2023; no biases, untied head)."""

    key_value_heads: int
    """As many as `heads`, or fewer that groups of heads share."""
    norm_epsilon: float
    rope_base: float = 1.0e4
    initial_std: float = 0.02
    """Standard deviation of the initial weights."""
    scaled_residuals: bool = False
    """Divide it by sqrt(2 x layers) for what writes onto the residual stream, as Megatron-LM and PaddleNLP do."""


class Llama(TextDecoder):
    """Llama 1, 2, 3 or a model of the same form, such as Aquila 2, trained from random weights."""

    architecture: ClassVar[type[LlamaArchitecture]] = LlamaArchitecture

    def build(self) -> nn.Module:
        """The network with its initial weights."""
        network = self.assemble()
        if self.sizes.scaled_residuals:
            with torch.no_grad():
                for name, parameter in network.named_parameters():
                    if name.endswith(ONTO_RESIDUAL):
                        parameter.div_((2 * self.sizes.layers) ** 0.5)
        return network

    def assemble(self) -> nn.Module:
        """Transformers' Llama without its cache and its look at the mask."""
        from transformers import LlamaConfig, LlamaForCausalLM

        network: nn.Module = LlamaForCausalLM(LlamaConfig(**self.options()))
        return network

    def tensor_plan(self) -> TensorPlan | None:
        """Attention by heads, feed-forward units by their width, embedding and head by the vocabulary."""
        sizes = self.sizes
        return TensorPlan(
            splits={
                "model.embed_tokens": "rows_of_whole",
                "model.layers.*.self_attn.[qkv]_proj": "columns",
                "model.layers.*.self_attn.o_proj": "rows",
                "model.layers.*.mlp.gate_proj": "columns",
                "model.layers.*.mlp.up_proj": "columns",
                "model.layers.*.mlp.down_proj": "rows",
                "lm_head": "columns_gathered",
            },
            divides={
                "heads": sizes.heads,
                "key-value heads": sizes.key_value_heads,
                "units of the feed-forward layers": sizes.intermediate,
                "rows of the embedding": sizes.padded_vocabulary,
            },
        )

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """Hugging Face's names are the network's; older files hold what is computed, too."""
        return InitialWeights({name: one for name, one in weights.items() if not name.endswith(COMPUTED)})

    def options(self) -> dict[str, Any]:
        """What the configurations of transformers' models of this form have in common."""
        sizes = self.sizes
        return {
            "vocab_size": sizes.padded_vocabulary,
            "hidden_size": sizes.hidden,
            "intermediate_size": sizes.intermediate,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.key_value_heads,
            "max_position_embeddings": sizes.sequence_length,
            "rms_norm_eps": sizes.norm_epsilon,
            "rope_parameters": {"rope_type": "default", "rope_theta": sizes.rope_base},
            "initializer_range": sizes.initial_std,
            "tie_word_embeddings": False,
            "bos_token_id": None,
            "eos_token_id": None,
            "use_cache": False,
            "attn_implementation": CAUSAL,
        }

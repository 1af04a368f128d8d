"""Llama as a GPTModel: rotary positions, RMSNorm, SwiGLU, no biases, a head of its own."""

from __future__ import annotations

from typing import Any, ClassVar

from torch.nn.functional import silu

from models.ports.megatron.layout import Heads, WholeTensor
from models.ports.megatron.port import EMBEDDING, HEAD, LAYER, MegatronPort


class LlamaMegatron(MegatronPort):
    """Llama 1, 2, 3 or a model of the same form, such as Aquila 2."""

    tied: ClassVar[bool] = False

    def form(self) -> dict[str, Any]:
        """SwiGLU, RMSNorm, and key-value heads that groups of heads share."""
        return {
            "normalization": "RMSNorm",
            "layernorm_epsilon": self.sizes.norm_epsilon,
            "num_query_groups": self.sizes.key_value_heads,
            "gated_linear_unit": True,
            "activation_func": silu,
            "add_bias_linear": False,
            "hidden_dropout": 0.0,
            "attention_dropout": 0.0,
        }

    def positions(self) -> dict[str, Any]:
        """Rotary, over the whole head."""
        return {
            "max_sequence_length": self.sizes.sequence_length,
            "position_embedding_type": "rope",
            "rotary_base": self.sizes.rope_base,
        }

    def layout(self) -> dict[str, WholeTensor]:
        """Attention by heads, feed-forward units by their width, embedding and head by the vocabulary."""
        sizes = self.sizes
        heads = Heads(groups=sizes.key_value_heads, queries=sizes.heads // sizes.key_value_heads)
        found = {
            EMBEDDING: WholeTensor(sources=("model.embed_tokens.weight",), axis=0),
            "decoder.final_layernorm.weight": WholeTensor(sources=("model.norm.weight",)),
            HEAD: WholeTensor(sources=("lm_head.weight",), axis=0),
        }
        for number in range(sizes.layers):
            theirs, own = f"model.layers.{number}", f"{LAYER}{number}"
            query, key, value = (f"{theirs}.self_attn.{one}_proj.weight" for one in "qkv")
            gate, up = (f"{theirs}.mlp.{one}_proj.weight" for one in ("gate", "up"))
            found |= {
                f"{own}.input_layernorm.weight": WholeTensor(sources=(f"{theirs}.input_layernorm.weight",)),
                f"{own}.self_attention.linear_qkv.weight": WholeTensor(
                    sources=(query, key, value), axis=0, heads=heads
                ),
                f"{own}.self_attention.linear_proj.weight": WholeTensor(
                    sources=(f"{theirs}.self_attn.o_proj.weight",), axis=1
                ),
                f"{own}.pre_mlp_layernorm.weight": WholeTensor(sources=(f"{theirs}.post_attention_layernorm.weight",)),
                f"{own}.mlp.linear_fc1.weight": WholeTensor(sources=(gate, up), axis=0, gated=True),
                f"{own}.mlp.linear_fc2.weight": WholeTensor(sources=(f"{theirs}.mlp.down_proj.weight",), axis=1),
            }
        return found

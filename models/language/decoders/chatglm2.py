"""ChatGLM2: GLM's second network, a causal decoder whose 32 query heads share two pairs of keys and values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.language.decoders.llama import Llama, LlamaArchitecture
from models.weights import InitialWeights

NAMES = {
    "embedding.word_embeddings": "model.embed_tokens",
    "encoder.final_layernorm": "model.norm",
    "output_layer": "lm_head",
    "self_attention.dense": "self_attn.o_proj",
    "mlp.dense_h_to_4h": "mlp.gate_up_proj",
    "mlp.dense_4h_to_h": "mlp.down_proj",
    "input_layernorm": "input_layernorm",
    "post_attention_layernorm": "post_attention_layernorm",
}
"""Names of parts in the published checkpoint, and transformers'."""
LAYER = re.compile(r"transformer\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
FUSED = "self_attention.query_key_value"
COMPUTED = "transformer.rotary_pos_emb.inv_freq"


@dataclass(kw_only=True, slots=True)
class Chatglm2Architecture(LlamaArchitecture):
    """Sizes of a ChatGLM2 (config.json of THUDM/chatglm2-6b); `key_value_heads` are its `multi_query_group_num`."""

    rotated_share: float
    """Of a head's dimensions, which the rotary positions turn, pair by pair of neighbours."""


class Chatglm2(Llama):
    """ChatGLM2: RMSNorm, SwiGLU, biases on queries, keys and values alone, an untied head."""

    architecture: ClassVar[type[LlamaArchitecture]] = Chatglm2Architecture

    def assemble(self) -> nn.Module:
        """Transformers' GLM, which computes the same: GLM-4 kept ChatGLM2's network."""
        from transformers import GlmConfig, GlmForCausalLM

        sizes, options = self.sizes, self.options()
        positions = options["rope_parameters"] | {"partial_rotary_factor": sizes.rotated_share}
        config: dict[str, Any] = options | {
            "head_dim": sizes.hidden // sizes.heads,
            "attention_bias": True,
            "rope_parameters": positions,
            "pad_token_id": None,
        }
        network: nn.Module = GlmForCausalLM(GlmConfig(**config))
        return network

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """The published checkpoint's names; its one matrix for queries, keys and values is cut into three."""
        tensors: dict[str, Tensor] = {}
        for name, tensor in weights.items():
            if name == COMPUTED:
                continue
            if layer := LAYER.fullmatch(name):
                number, part, kind = layer.groups()
                tensors |= self._of_layer(f"model.layers.{number}", part, kind, tensor)
            else:
                part, _, kind = name.removeprefix("transformer.").rpartition(".")
                tensors[f"{NAMES.get(part, part)}.{kind}"] = tensor
        return InitialWeights(tensors)

    def _of_layer(self, layer: str, part: str, kind: str, tensor: Tensor) -> dict[str, Tensor]:
        if part != FUSED:
            return {f"{layer}.{NAMES.get(part, part)}.{kind}": tensor}
        shared = self.sizes.key_value_heads * self.sizes.hidden // self.sizes.heads
        names = ("q_proj", "k_proj", "v_proj")
        pieces = torch.split(tensor, [self.sizes.hidden, shared, shared])
        return {f"{layer}.self_attn.{name}.{kind}": piece for name, piece in zip(names, pieces, strict=True)}

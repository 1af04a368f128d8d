"""GPT-3 as a GPTModel: learned positions, LayerNorm, GELU, biases, the embedding as its head."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import gelu

from models.ports.megatron.layout import Heads, WholeTensor
from models.ports.megatron.port import EMBEDDING, LAYER, MegatronPort

EPSILON = 1e-5
"""Of GPT-2's LayerNorm in transformers, whose configuration the original leaves as it is."""


class Gpt3Megatron(MegatronPort):
    """A GPT-3 of any size."""

    tied: ClassVar[bool] = True

    def form(self) -> dict[str, Any]:
        """LayerNorm, GPT-2's approximation of GELU, one dropout for all."""
        return {
            "normalization": "LayerNorm",
            "layernorm_epsilon": EPSILON,
            "activation_func": tanh_gelu,
            "add_bias_linear": True,
            "hidden_dropout": self.sizes.dropout,
            "attention_dropout": self.sizes.dropout,
        }

    def positions(self) -> dict[str, Any]:
        """Learned."""
        return {
            "max_sequence_length": self.sizes.positions or self.sizes.sequence_length,
            "position_embedding_type": "learned_absolute",
        }

    def layout(self) -> dict[str, WholeTensor]:
        """As Llama's, with biases: of what is split by rows each rank has its part, of the others all."""
        heads = Heads(groups=self.sizes.heads, queries=1)
        found = {
            EMBEDDING: WholeTensor(sources=("transformer.wte.weight",), axis=0),
            "embedding.position_embeddings.weight": WholeTensor(sources=("transformer.wpe.weight",)),
            "decoder.final_layernorm.weight": WholeTensor(sources=("transformer.ln_f.weight",)),
            "decoder.final_layernorm.bias": WholeTensor(sources=("transformer.ln_f.bias",)),
        }
        for number in range(self.sizes.layers):
            theirs, own = f"transformer.h.{number}", f"{LAYER}{number}"
            for name, source in (("input_layernorm", "ln_1"), ("pre_mlp_layernorm", "ln_2")):
                for part in ("weight", "bias"):
                    found[f"{own}.{name}.{part}"] = WholeTensor(sources=(f"{theirs}.{source}.{part}",))
            for name, source, fused in (
                ("self_attention.linear_qkv", "attn.c_attn", heads),
                ("mlp.linear_fc1", "mlp.c_fc", None),
            ):
                matrix, bias = (f"{theirs}.{source}.weight",), (f"{theirs}.{source}.bias",)
                found[f"{own}.{name}.weight"] = WholeTensor(sources=matrix, axis=0, transposed=True, heads=fused)
                found[f"{own}.{name}.bias"] = WholeTensor(sources=bias, axis=0, heads=fused)
            for name, source in (("self_attention.linear_proj", "attn.c_proj"), ("mlp.linear_fc2", "mlp.c_proj")):
                matrix, bias = (f"{theirs}.{source}.weight",), (f"{theirs}.{source}.bias",)
                found[f"{own}.{name}.weight"] = WholeTensor(sources=matrix, axis=1, transposed=True)
                found[f"{own}.{name}.bias"] = WholeTensor(sources=bias)
        return found


def tanh_gelu(values: Tensor) -> Tensor:
    """GELU by the hyperbolic tangent, as GPT-2 has it."""
    return gelu(values, approximate="tanh")

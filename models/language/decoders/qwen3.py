"""Qwen3: a Llama whose heads have a size of their own and normalise queries and keys."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from models.language.decoders.llama import Llama, LlamaArchitecture
from models.sharding.plan import TensorPlan


@dataclass(kw_only=True, slots=True)
class Qwen3Architecture(LlamaArchitecture):
    """Sizes of a dense Qwen3 (Yang et al. 2025)."""

    head_size: int


class Qwen3(Llama):
    """A dense Qwen3, trained from random weights."""

    architecture = Qwen3Architecture

    def tensor_plan(self) -> TensorPlan | None:
        """As Llama's; the norms of queries and keys are each head's, and one for all of them."""
        plan = super().tensor_plan()
        assert plan is not None, "Llama has one"
        return replace(plan, splits={**plan.splits, "model.layers.*.self_attn.[qk]_norm": "summed"})

    def assemble(self) -> nn.Module:
        """Transformers' Qwen3 without its cache and its look at the mask."""
        from transformers import Qwen3Config, Qwen3ForCausalLM

        network: nn.Module = Qwen3ForCausalLM(Qwen3Config(**self.options(), head_dim=self.sizes.head_size))
        return network

"""ByteMLPerf's DeepSeek-like mixture: many narrow experts, and in each layer a wider one that serves every token."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear, silu
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter

from models.language.decoders.experts import autocast_type
from models.language.decoders.mixtral import Mixtral, MixtralArchitecture


@dataclass(kw_only=True, slots=True)
class DeepseekMoeArchitecture(MixtralArchitecture):
    """Sizes of the recipe: a Mixtral's, the shared expert's, dropout."""

    shared_intermediate: int
    dropout: float
    """Of embeddings, of attention's weights, and of what is added to the residual stream."""


class ExactRouter(MixtralTopKRouter):  # type: ignore[misc]
    """A router whose product is in float32 whatever autocast says, as the recipe's is."""

    def forward(self, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (tokens, experts), and the chosen experts' shares and numbers (tokens, experts per token)."""
        device = hidden_states.device.type
        with nullcontext() if autocast_type(device) is None else torch.autocast(device, enabled=False):
            scores = linear(hidden_states.reshape(-1, self.hidden_dim).float(), self.weight.float())
        highest, chosen = scores.topk(self.top_k, dim=-1)
        return scores, highest.softmax(dim=-1), chosen


class SharedExpert(nn.Module):
    """Chosen experts and the shared one, a gated unit, added."""

    def __init__(self, routed: nn.Module, hidden: int, intermediate: int) -> None:
        super().__init__()
        self.routed = routed
        self.gate_up_proj = nn.Linear(hidden, 2 * intermediate, bias=False)
        self.down_proj = nn.Linear(intermediate, hidden, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, length, hidden size), and so is the result."""
        gate, up = self.gate_up_proj(hidden).chunk(2, dim=-1)
        mixed: Tensor = self.routed(hidden) + self.down_proj(silu(gate) * up)
        return mixed


class DeepseekMoe(Mixtral):
    """The recipe of ByteMLPerf's `ds_like`, trained from random weights with its balancing loss."""

    architecture = DeepseekMoeArchitecture

    def options(self) -> dict[str, Any]:
        """A Mixtral's, with dropout of attention's weights."""
        return super().options() | {"attention_dropout": self.sizes.dropout}

    def assemble(self) -> nn.Module:
        """A Mixtral with shared experts, float32 routers and dropout before every addition."""
        network: Any = super().assemble()
        _drop_output(network.model.embed_tokens, self.sizes.dropout)
        for layer in network.model.layers:
            layer.mlp.gate = ExactRouter(network.config)
            layer.mlp = SharedExpert(layer.mlp, self.sizes.hidden, self.sizes.shared_intermediate)
            for weight in (layer.mlp.routed.gate.weight, layer.mlp.gate_up_proj.weight, layer.mlp.down_proj.weight):
                nn.init.normal_(weight, std=self.sizes.initial_std)
            _drop_output(layer.self_attn.o_proj, self.sizes.dropout)
            _drop_output(layer.mlp, self.sizes.dropout)
        built: nn.Module = network
        return built


def _drop_output(module: nn.Module, probability: float) -> None:
    def dropped(module: nn.Module, _: Any, output: Tensor) -> Tensor:
        return dropout(output, probability, module.training)

    if probability:
        module.register_forward_hook(dropped)

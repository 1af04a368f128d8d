"""Mixtral: a Llama with several feed-forward units in each layer, a few of which every token chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import MixtralForCausalLM
from transformers.modeling_outputs import MoeCausalLMOutputWithPast

from models.contract import Model
from models.datasets.base import Batch
from models.language.decoders.experts import EXPERTS
from models.language.decoders.llama import Llama, LlamaArchitecture
from models.language.loss import token_loss


@dataclass(kw_only=True, slots=True)
class MixtralArchitecture(LlamaArchitecture):
    """Sizes of a Mixtral (Jiang et al. 2024); `intermediate` is one expert's."""

    experts: int
    """In each layer."""
    experts_per_token: int
    balance: float
    """What the loss of unevenly chosen experts is multiplied by."""


def balancing_loss(scores: Sequence[Tensor], experts_per_token: int) -> Tensor:
    """How unevenly experts are chosen, summed over layers; each adds 1 when all are chosen alike.

    Fedus et al. 2021, equations 4 to 6, for several experts per token as Megatron-LM has it (`aux_loss`): the number of
    experts times the sum over them of their share of the choices times their mean probability.

    Args:
        scores: one of (tokens, experts) for each layer, before the softmax.
        experts_per_token: how many of the highest are chosen.

    Returns:
        float32 scalar.
    """
    total = scores[0].new_zeros((), dtype=torch.float32)
    for layer in scores:
        probabilities = layer.float().softmax(dim=-1)
        chosen = torch.zeros_like(probabilities).scatter_(1, layer.topk(experts_per_token, dim=-1).indices, 1.0)
        shares = chosen.mean(dim=0) / experts_per_token
        total = total + layer.shape[-1] * (shares * probabilities.mean(dim=0)).sum()
    return total


class RoutedNetwork(MixtralForCausalLM):  # type: ignore[misc]
    """Transformers' Mixtral, which tells its routers' scores and leaves the balancing loss to `balancing_loss`.

    Its own would be thrown away, and some versions count the choices with an operator that waits for the device and
    that the meta device lacks.
    """

    def forward(self, *inputs: Any, output_router_logits: bool = False, **options: Any) -> Any:
        """As the original without labels."""
        if not output_router_logits:
            return super().forward(*inputs, **options)
        outputs = self.model(*inputs, output_router_logits=True, **options)
        return MoeCausalLMOutputWithPast(
            logits=self.lm_head(outputs.last_hidden_state), router_logits=outputs.router_logits
        )


class Mixtral(Llama):
    """A Mixtral, trained from random weights with its balancing loss."""

    architecture: ClassVar[type[MixtralArchitecture]] = MixtralArchitecture
    # The experts, most of the network, are one tensor a layer, and nothing splits those yet.
    tensor_plan = Model.tensor_plan
    multiplying: ClassVar[tuple[str, ...]] = ("MixtralExperts", "MixtralTopKRouter")

    def loss(self, batch: Batch) -> Tensor:
        """Mean next-token cross entropy, and the balancing loss times `balance`."""
        output = self.network(input_ids=batch["input_ids"], use_cache=False, output_router_logits=True)
        balance = balancing_loss(output.router_logits, self.sizes.experts_per_token)
        loss: Tensor = token_loss(output.logits, batch["targets"]) + self.sizes.balance * balance
        return loss

    def assemble(self) -> nn.Module:
        """Transformers' Mixtral without its cache, its look at the mask and its copies of experts."""
        from transformers import MixtralConfig

        config = MixtralConfig(
            **self.options(),
            num_local_experts=self.sizes.experts,
            num_experts_per_tok=self.sizes.experts_per_token,
            experts_implementation=EXPERTS,
        )
        network: nn.Module = RoutedNetwork(config)
        return network

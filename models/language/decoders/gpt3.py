"""GPT-3: GPT-2's network, wider, judged by the perplexity of held-out text."""

from __future__ import annotations

from torch import nn

from models.language.decoders.gpt2 import Gpt2Architecture, gpt2_network, gpt2_tensor_plan, take_heads_apart
from models.language.decoders.text_decoder import TextDecoder
from models.sharding.plan import TensorPlan


class Gpt3(TextDecoder):
    """A GPT-3 (Brown et al. 2020, with dense attention in every layer), trained from random weights."""

    architecture = Gpt2Architecture

    def build(self) -> nn.Module:
        """Transformers' GPT-2, of which GPT-3 differs in nothing but its sizes."""
        return gpt2_network(self.sizes)

    def tensor_plan(self) -> TensorPlan | None:
        """As GPT-2's."""
        return gpt2_tensor_plan(self.sizes)

    def prepare_tensor(self, ranks: int) -> None:
        """As GPT-2's."""
        take_heads_apart(self.network, ranks)

"""A decoder's network in the order in which it is computed: what comes before its blocks, its blocks, what follows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from paddle import Tensor, nn

from models.ports.paddle.gpt import GptNetworkPaddle
from models.ports.paddle.llama import LlamaNetworkPaddle


class DecoderPieces(ABC):
    """Of one network; names are those of its layers."""

    blocks: ClassVar[str]
    """The list of the blocks."""
    first: ClassVar[tuple[str, ...]]
    """Layers before the blocks."""
    last: ClassVar[tuple[str, ...]]
    """Layers behind them."""
    tied: ClassVar[str | None] = None
    """A layer of the first that is needed behind the blocks, too."""
    joined: ClassVar[Mapping[str, int]] = {}
    """Ends of the names of layers that make several things at once, and how many."""

    def __init__(self, network: nn.Layer) -> None:
        self.network: Any = network

    def listed(self) -> Any:
        """The blocks."""
        found: Any = self.network
        for name in self.blocks.split("."):
            found = getattr(found, name)
        return found

    def move(self, device: str) -> None:
        """Bring what is left of the network onto a device."""
        self.network.to(device=device)

    @abstractmethod
    def begin(self, input_ids: Tensor) -> Tensor:
        """(batch, length) to (batch, length, hidden)."""

    @abstractmethod
    def through(self, number: int, values: Tensor) -> Tensor:
        """One block: (batch, length, hidden) to the same."""

    @abstractmethod
    def end(self, values: Tensor) -> Tensor:
        """(batch, length, hidden) to scores (batch, length, this rank's share of the vocabulary)."""


class LlamaPieces(DecoderPieces):
    """Of `LlamaNetworkPaddle`."""

    blocks = "model.layers"
    first = ("model.embed_tokens",)
    last = ("model.norm", "lm_head")

    def move(self, device: str) -> None:
        """With the turns, which are no parameters."""
        super().move(device)
        self.network.model.turns = tuple(one.to(device) for one in self.network.model.turns)

    def begin(self, input_ids: Tensor) -> Tensor:
        """The embedding."""
        values: Tensor = self.network.model.embed_tokens(input_ids)
        return values

    def through(self, number: int, values: Tensor) -> Tensor:
        """With the turns of its places."""
        cosines, sines = (one[:, : values.shape[1]] for one in self.network.model.turns)
        values = self.listed()[number](values, (cosines, sines))
        return values

    def end(self, values: Tensor) -> Tensor:
        """Norm and head."""
        scores: Tensor = self.network.lm_head(self.network.model.norm(values))
        return scores


class GptPieces(DecoderPieces):
    """Of `GptNetworkPaddle`."""

    blocks = "transformer.h"
    first = ("transformer.wte", "transformer.wpe")
    last = ("transformer.ln_f",)
    tied = "transformer.wte"
    joined: ClassVar[Mapping[str, int]] = {"attn.c_attn": 3}

    def begin(self, input_ids: Tensor) -> Tensor:
        """Tokens and their places."""
        values: Tensor = self.network.transformer.embedded(input_ids)
        return values

    def through(self, number: int, values: Tensor) -> Tensor:
        """One block."""
        values = self.listed()[number](values)
        return values

    def end(self, values: Tensor) -> Tensor:
        """Norm and the embedding as the head."""
        scores: Tensor = self.network.head(self.network.transformer.ln_f(values))
        return scores


KINDS: Mapping[type[nn.Layer], type[DecoderPieces]] = {LlamaNetworkPaddle: LlamaPieces, GptNetworkPaddle: GptPieces}


def pieces_of(network: nn.Layer) -> DecoderPieces | None:
    """Of a network that can be spread; None of others."""
    kind = KINDS.get(type(network))
    return None if kind is None else kind(network)

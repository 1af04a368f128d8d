"""What ports to megatron-core share: the stage that one rank trains, and its weights cut from the original's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from megatron.core import parallel_state
from megatron.core.models.gpt.gpt_model import GPTModel
from megatron.core.transformer.transformer_config import TransformerConfig
from torch import Tensor

from models.datasets.language.tokens.next_token import IGNORED
from models.ports.megatron.layers import block_of, positions
from models.ports.megatron.layout import WholeTensor
from models.ports.port import Arrays, Port
from models.ports.weights import WeightPlace
from models.trainable import Trainable

EMBEDDING, HEAD = "embedding.word_embeddings.weight", "output_layer.weight"
LAYER = "decoder.layers."
"""How the names of a layer's tensors begin, before its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """How a network is spread over ranks, and in which type it computes."""

    tensor: int = 1
    pipeline: int = 1
    sequence_parallel: bool = False
    computed_in: str = "float32"
    """Type of the weights that are multiplied by, as torch names it."""
    recomputed: bool = False
    """Whether a layer keeps its inputs alone and is computed again in the backward pass."""


class WholeWeights(Mapping[str, Tensor]):
    """The tensors of a whole GPTModel by name, each made of the original's when it is asked for."""

    def __init__(self, wholes: Mapping[str, WholeTensor], state: Mapping[str, Tensor]) -> None:
        self._wholes, self._state = wholes, state

    def __getitem__(self, name: str) -> Tensor:
        return self._wholes[name].made_of(self._state)

    def __iter__(self) -> Iterator[str]:
        return iter(self._wholes)

    def __len__(self) -> int:
        return len(self._wholes)


class MegatronPort(Port):
    """A decoder of the form of transformers, as this rank's stage of a GPTModel; the process groups must be made."""

    tied: ClassVar[bool]
    """Whether the head is the embedding."""

    def __init__(self, original: Trainable, *, sharing: Sharing) -> None:
        """Build the stage on torch's current CUDA device, its weights arbitrary."""
        super().__init__(original)
        self.sizes: Any = getattr(original, "sizes")  # noqa: B009 -- decoders have them, `Trainable` does not say so
        self.config = TransformerConfig(**self._common(sharing), **self.form())
        pipeline = (parallel_state.is_pipeline_first_stage(), parallel_state.is_pipeline_last_stage())
        self.network = GPTModel(
            config=self.config,
            transformer_layer_spec=block_of(self.config),
            vocab_size=self.sizes.padded_vocabulary,
            pre_process=pipeline[0],
            post_process=pipeline[1],
            share_embeddings_and_output_weights=self.tied,
            **self.positions(),
        )
        self.wholes = self.layout()

    @abstractmethod
    def form(self) -> dict[str, Any]:
        """Fields of `TransformerConfig` in which one kind of decoder differs from another."""

    @abstractmethod
    def positions(self) -> dict[str, Any]:
        """What `GPTModel` is told of positions."""

    @abstractmethod
    def layout(self) -> dict[str, WholeTensor]:
        """Every tensor of the whole network by its name there."""

    def _common(self, sharing: Sharing) -> dict[str, Any]:
        sizes, computed_in = self.sizes, getattr(torch, sharing.computed_in)
        recomputed = {"recompute_granularity": "full", "recompute_method": "uniform", "recompute_num_layers": 1}
        return {
            "num_layers": sizes.layers,
            "hidden_size": sizes.hidden,
            "ffn_hidden_size": sizes.intermediate,
            "num_attention_heads": sizes.heads,
            "params_dtype": computed_in,
            "pipeline_dtype": computed_in,
            "fp16": computed_in == torch.float16,
            "bf16": computed_in == torch.bfloat16,
            "tensor_model_parallel_size": sharing.tensor,
            "pipeline_model_parallel_size": sharing.pipeline,
            "sequence_parallel": sharing.sequence_parallel,
            # The original's weights follow; megatron-core marks parameters as split where it initialises them.
            "init_method": _as_it_is,
            "output_layer_init_method": _as_it_is,
            "embedding_init_method": _as_it_is,
            # These need Apex or Transformer Engine, or are compiled while they are measured.
            "gradient_accumulation_fusion": False,
            "masked_softmax_fusion": False,
            "bias_activation_fusion": False,
            "bias_dropout_fusion": False,
            "apply_rope_fusion": False,
            "persist_layer_norm": False,
            **(recomputed if sharing.recomputed else {}),
        }

    # --- weights ----------------------------------------------------------------------------------------------

    def places(self) -> dict[str, WeightPlace]:
        """The whole network's tensor that each of the original's is in."""
        return {source: WeightPlace(name) for name, whole in self.wholes.items() for source in whole.sources}

    def from_original(self) -> Mapping[str, Tensor]:  # type: ignore[override]
        """The whole network's tensors, made one by one."""
        return WholeWeights(self.wholes, self.original.network.state_dict())

    def to_original(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The original's whole state dict from a whole network's tensors; tied tensors under every name."""
        state = self.original.network.state_dict()
        found: dict[str, Tensor] = {}
        for name, whole in self.wholes.items():
            found |= whole.apart(own[name])
        tied = {state[name].data_ptr(): tensor for name, tensor in found.items()}
        return {name: found.get(name, tied.get(tensor.data_ptr(), tensor)) for name, tensor in state.items()}

    # --- passes -----------------------------------------------------------------------------------------------

    def forward(self, network: Any, batch: Arrays) -> Tensor:
        """One stage's pass.

        Returns:
            On the last stage the loss at every place, float32 (batch, length); before it what is handed on.
        """
        ids = batch["input_ids"]
        places = positions(ids.shape[1], ids.shape[0], ids.device)
        found: Tensor = network(ids, places, None, labels=batch["targets"])
        return found

    def loss(self, network: Any, batch: Arrays) -> Tensor:
        """The mean over the counted places, of a network of one stage."""
        return mean_loss(self.forward(network, batch), batch)

    def judge(self, network: Any, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """The mean loss of each sequence, of a network of one stage."""
        return judged(self.forward(network, batch))


def mean_loss(losses: Tensor, batch: Arrays) -> Tensor:
    """The mean over the places that have a target."""
    counted: Tensor = batch["targets"] != IGNORED
    return (losses * counted).sum() / counted.sum()


def judged(losses: Tensor) -> dict[str, tuple[Any, ...]]:
    """What perplexity is made of: the mean loss of each sequence, of which every target counts."""
    return {"perplexity": (losses.mean(dim=-1),)}


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor

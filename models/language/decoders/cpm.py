"""CPM: a Chinese GPT-2 (Zhang et al. 2020), fine-tuned on lines of text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor, nn

from models.datasets.base import Batch, Datasets
from models.datasets.language.samples.text_sample import text_sample
from models.datasets.language.tokens.cpm_text import LAYOUT, cpm_datasets
from models.datasets.language.tokens.next_token import Sequences
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.language.decoders.decoder import Decoder
from models.language.decoders.gpt2 import Gpt2Architecture, gpt2_network
from models.language.embedding_average import embedding_averages
from models.metrics import Mean
from models.recipe import Recipe
from models.weights import InitialWeights

MEGATRON = {
    "word_embeddings": "transformer.wte",
    "position_embeddings": "transformer.wpe",
    "transformer.final_layernorm": "transformer.ln_f",
    "input_layernorm": "ln_1",
    "attention.query_key_value": "attn.c_attn",
    "attention.dense": "attn.c_proj",
    "post_attention_layernorm": "ln_2",
    "mlp.dense_h_to_4h": "mlp.c_fc",
    "mlp.dense_4h_to_h": "mlp.c_proj",
}
"""Megatron-LM's names of the parts of a network and of a layer, and transformers'."""
LAYER = re.compile(r"transformer\.layers\.(\d+)\.(.+)\.(weight|bias)")


@dataclass(kw_only=True, slots=True)
class CpmArchitecture(Gpt2Architecture):
    """Sizes of a CPM; the network is GPT-2's."""

    checkpoint_activations: bool = False
    """Keep only what enters each layer, and compute the rest again in the backward pass."""


class Cpm(Decoder):
    """CPM with the training case of FlagPerf's `cpm`."""

    architecture = CpmArchitecture

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.metrics = {"embedding_average": Mean()}

    def evaluate(self, batch: Batch) -> None:
        """`embedding_averages` of the likeliest tokens, each predicted from the true ones before; mean over texts."""
        said = self.logits(batch).argmax(dim=-1)
        embeddings = self.network.get_input_embeddings().weight  # type: ignore[operator]
        self.metrics["embedding_average"].update(embedding_averages(said, batch["targets"], embeddings))

    def datasets(self, spec: DataSpec) -> Datasets:
        """CPM-Finetune's texts, or sequences of the standard library."""
        length, vocabulary, source = self.sizes.sequence_length, self.sizes.vocabulary, self.recipe.data_source
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=source)
            return cpm_datasets(root, length=length, vocabulary=vocabulary, source=source)
        sample = text_sample(spec.cache_path, "bpe", vocabulary)
        parts = (sample.train, sample.evaluation)
        return Datasets(*(Sequences(part, sequence_length=length, vocabulary=vocabulary) for part in parts))

    def build(self) -> nn.Module:
        """Transformers' GPT-2, which is Megatron-LM's network in other words."""
        network = gpt2_network(self.sizes)
        if self.sizes.checkpoint_activations:
            newer = getattr(network, "activation_checkpointing_enable", None)  # the older name goes with transformers 6
            enable = newer or network.gradient_checkpointing_enable
            enable({"use_reentrant": False})  # type: ignore[operator]
        return network

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """The published `cpm_model_states_medium.pt`, in Megatron-LM's names."""
        tensors = {}
        for name, tensor in weights.items():
            if layer := LAYER.fullmatch(name):
                number, part, kind = layer.groups()
                ours = f"transformer.h.{number}.{MEGATRON.get(part, part)}.{kind}"
                turned = kind == "weight" and tensor.ndim > 1  # transformers keeps GPT-2's matrices turned round
                tensors[ours] = tensor.T.contiguous() if turned else tensor
            else:
                part, _, kind = name.rpartition(".")
                tensors[f"{MEGATRON.get(part, part)}.{kind}"] = tensor
        return InitialWeights(tensors)

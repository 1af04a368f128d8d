"""GPT-2: a decoder trained on the next token, judged by the last words of passages (LAMBADA)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from models.datasets.base import Batch, Datasets
from models.datasets.language.samples.text_sample import text_sample
from models.datasets.language.tasks import lambada
from models.datasets.language.tasks.lambada import LastWords, lambada_passages, sample_passages
from models.datasets.language.tokens import megatron
from models.datasets.language.tokens.megatron import megatron_tokens
from models.datasets.language.tokens.next_token import IGNORED, Sequences
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.inferable import Tensors
from models.language.decoders.attention import CAUSAL
from models.language.decoders.decoder import DecoderSizes
from models.language.decoders.served_decoder import ServedDecoder
from models.metrics import Share
from models.recipe import Recipe
from models.sharding.plan import TensorPlan
from models.sharding.projection import SplitProjection
from models.weights import InitialWeights

BASE = "transformer."
MASK = re.compile(r".*\.attn\.(masked_)?bias")
LAYOUT = f"{megatron.LAYOUT} to train on; {lambada.LAYOUT} to evaluate on"


@dataclass(kw_only=True, slots=True)
class Gpt2Architecture(DecoderSizes):
    """Sizes of a GPT-2 (Radford et al. 2019; learned positions, LayerNorm before each block, GELU)."""

    dropout: float
    positions: int | None = None
    """Rows of the positions' embedding; None for `sequence_length`."""
    initial_std: float = 0.02
    """Standard deviation of the initial weights; by sqrt(2 x layers) less for what writes onto the residual stream."""


class Gpt2(ServedDecoder):
    """GPT-2 with the training case of FlagPerf's `gpt2` (Megatron-LM's 345M model)."""

    architecture = Gpt2Architecture

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.metrics = {"lambada_accuracy": Share()}

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """Share of passages with every token of the last word right, each predicted from the true ones before."""
        predicted = outputs[0].argmax(dim=-1)
        right = (predicted == batch["targets"]) | (batch["targets"] == IGNORED)
        self.metrics["lambada_accuracy"].update(right.all(dim=-1))

    def prompt_data(self, spec: DataSpec) -> Dataset[Any]:
        """Sequences of running text: passages end early and are padded."""
        return self.datasets(spec).train

    def datasets(self, spec: DataSpec) -> Datasets:
        """Next-token sequences to train on, passages with a last word to evaluate on."""
        length, vocabulary, source = self.sizes.sequence_length, self.sizes.vocabulary, self.recipe.data_source
        evaluation: LastWords
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=source)
            tokens = megatron_tokens(root, source=source)
            evaluation = lambada_passages(root, length, vocabulary, source=source)
        else:
            sample = text_sample(spec.cache_path, "bpe", vocabulary)
            tokens = sample.train
            evaluation = sample_passages(sample.tokenizer, length)
        return Datasets(Sequences(tokens, sequence_length=length, vocabulary=vocabulary), evaluation)

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """Hugging Face's GPT-2: its base's names lack their beginning, and older files hold the causal masks.

        It has no rows beyond its vocabulary: `model.architecture.vocabulary_multiple=1` fits it.
        """
        plain = {name.removeprefix(BASE): tensor for name, tensor in weights.items() if not MASK.fullmatch(name)}
        return InitialWeights({name if name == "lm_head.weight" else BASE + name: one for name, one in plain.items()})

    def build(self) -> nn.Module:
        """Transformers' GPT-2."""
        return gpt2_network(self.sizes)

    def tensor_plan(self) -> TensorPlan | None:
        """By heads, by width and by vocabulary."""
        return gpt2_tensor_plan(self.sizes)

    def prepare_tensor(self, ranks: int) -> None:
        """Take queries, keys and values apart."""
        take_heads_apart(self.network, ranks)


def gpt2_network(sizes: Gpt2Architecture) -> nn.Module:
    """Transformers' GPT-2 without its cache and its look at the mask."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=sizes.padded_vocabulary,
        n_positions=sizes.positions or sizes.sequence_length,
        n_embd=sizes.hidden,
        n_layer=sizes.layers,
        n_head=sizes.heads,
        n_inner=sizes.intermediate,
        resid_pdrop=sizes.dropout,
        embd_pdrop=sizes.dropout,
        attn_pdrop=sizes.dropout,
        initializer_range=sizes.initial_std,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
        attn_implementation=CAUSAL,
    )
    network: nn.Module = GPT2LMHeadModel(config)
    return network


def gpt2_tensor_plan(sizes: Gpt2Architecture) -> TensorPlan:
    """Attention by heads, feed-forward units by their width, embedding and head, which are one, by the vocabulary.

    For a network that `take_heads_apart` has changed.
    """
    return TensorPlan(
        splits={
            "transformer.wte": "rows_of_whole",
            "transformer.h.*.attn.c_attn.*": "columns",
            "transformer.h.*.attn.c_proj": "rows",
            "transformer.h.*.mlp.c_fc": "columns",
            "transformer.h.*.mlp.c_proj": "rows",
            "lm_head": "columns_gathered",
        },
        divides={
            "heads": sizes.heads,
            "units of the feed-forward layers": sizes.intermediate,
            "rows of the embedding": sizes.padded_vocabulary,
        },
    )


def take_heads_apart(network: Any, ranks: int) -> None:
    """Three layers in the place of the one that makes queries, keys and values, for so many ranks to split by heads."""
    for block in network.transformer.h:
        block.attn.c_attn = SplitProjection(block.attn.c_attn)
        block.attn.split_size //= ranks

"""GPT-2: a decoder trained on the next token, judged by the last words of passages (LAMBADA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import TypeAdapter
from torch import Tensor, nn

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.language import lambada, megatron
from models.datasets.language.lambada import LastWords, lambada_passages, sample_passages
from models.datasets.language.megatron import megatron_tokens
from models.datasets.language.next_token import (
    IGNORED,
    Sequences,
    count_sequences,
    next_token_batch,
    random_next_token_batch,
)
from models.datasets.language.text_sample import text_sample
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.language.attention import CAUSAL
from models.language.loss import token_loss
from models.metrics import Share
from models.recipe import STRICT, Recipe
from models.trainable import Trainable


@dataclass(kw_only=True, slots=True)
class Gpt2Architecture:
    """Sizes of a GPT-2 (Radford et al. 2019; learned positions, LayerNorm before each block, GELU)."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    """Entries the tokenizer has."""
    vocabulary_multiple: int
    """The embedding is padded to a multiple of this, as Megatron does for its kernels."""
    layers: int
    hidden: int
    heads: int
    intermediate: int
    sequence_length: int
    dropout: float

    @property
    def padded_vocabulary(self) -> int:
        """Rows of the embedding."""
        return -(-self.vocabulary // self.vocabulary_multiple) * self.vocabulary_multiple


LAYOUT = f"{megatron.LAYOUT} to train on; {lambada.LAYOUT} to evaluate on"


class Gpt2(Trainable):
    """GPT-2 with the training case of FlagPerf's `gpt2` (Megatron-LM's 345M model)."""

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(Gpt2Architecture).validate_python(recipe.architecture)
        self.network = _network(self.sizes)
        self.metrics = {"lambada_accuracy": Share()}

    def loss(self, batch: Batch) -> Tensor:
        """Mean next-token cross entropy."""
        return token_loss(self.network(input_ids=batch["input_ids"], use_cache=False).logits, batch["targets"])

    def evaluate(self, batch: Batch) -> None:
        """Share of passages with every token of the last word right, each predicted from the true ones before."""
        predicted = self.network(input_ids=batch["input_ids"], use_cache=False).logits.argmax(dim=-1)
        right = (predicted == batch["targets"]) | (batch["targets"] == IGNORED)
        self.metrics["lambada_accuracy"].update(right.all(dim=-1))

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

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of sequences or of passages."""
        return next_token_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random ids of the tokenizer's vocabulary."""
        return random_next_token_batch(batch_size, self.sizes.sequence_length, self.sizes.vocabulary)

    def count(self, batch: Batch) -> Counts:
        """Sequences and tokens."""
        return count_sequences(batch)


def _network(sizes: Gpt2Architecture) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=sizes.padded_vocabulary,
        n_positions=sizes.sequence_length,
        n_embd=sizes.hidden,
        n_layer=sizes.layers,
        n_head=sizes.heads,
        n_inner=sizes.intermediate,
        resid_pdrop=sizes.dropout,
        embd_pdrop=sizes.dropout,
        attn_pdrop=sizes.dropout,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
        attn_implementation=CAUSAL,
    )
    network: nn.Module = GPT2LMHeadModel(config)
    return network

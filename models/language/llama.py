"""Llama: a decoder trained on the next token, judged by the perplexity of held-out text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import TypeAdapter
from torch import Tensor, nn

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.language.flat_tokens import LAYOUT, flat_token_datasets
from models.datasets.language.next_token import Sequences, count_sequences, next_token_batch, random_next_token_batch
from models.datasets.language.text_sample import text_sample
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.language.attention import CAUSAL
from models.language.loss import sequence_losses, token_loss
from models.metrics import Mean
from models.recipe import STRICT, Recipe
from models.trainable import Trainable


@dataclass(kw_only=True, slots=True)
class LlamaArchitecture:
    """Sizes of a Llama 2 (Touvron et al. 2023; rotary positions, RMSNorm before each block, SwiGLU, untied head)."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    layers: int
    hidden: int
    heads: int
    key_value_heads: int
    """As many as `heads` in the 7B model; fewer are shared by groups of heads."""
    intermediate: int
    sequence_length: int
    norm_epsilon: float


class Perplexity(Mean):
    """Exponential of the mean cross entropy per token, over all ranks' sequences, which are of one length."""

    def compute(self) -> Tensor:
        """The perplexity of what was seen since `reset`."""
        return super().compute().exp()


class Llama(Trainable):
    """Llama 2 with the training case of FlagPerf's `llama2_7b`."""

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(LlamaArchitecture).validate_python(recipe.architecture)
        self.network = _network(self.sizes)
        self.metrics = {"perplexity": Perplexity()}

    def loss(self, batch: Batch) -> Tensor:
        """Mean next-token cross entropy."""
        return token_loss(self.network(input_ids=batch["input_ids"], use_cache=False).logits, batch["targets"])

    def evaluate(self, batch: Batch) -> None:
        """Cross entropy of each sequence."""
        logits = self.network(input_ids=batch["input_ids"], use_cache=False).logits
        self.metrics["perplexity"].update(sequence_losses(logits, batch["targets"]))

    def datasets(self, spec: DataSpec) -> Datasets:
        """Next-token sequences, of which a part is held out."""
        length, vocabulary, source = self.sizes.sequence_length, self.sizes.vocabulary, self.recipe.data_source
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=source)
            return flat_token_datasets(root, sequence_length=length, vocabulary=vocabulary, source=source)
        sample = text_sample(spec.cache_path, "bpe", vocabulary)
        parts = (sample.train, sample.evaluation)
        return Datasets(*(Sequences(part, sequence_length=length, vocabulary=vocabulary) for part in parts))

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of sequences."""
        return next_token_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random ids."""
        return random_next_token_batch(batch_size, self.sizes.sequence_length, self.sizes.vocabulary)

    def count(self, batch: Batch) -> Counts:
        """Sequences and tokens."""
        return count_sequences(batch)


def _network(sizes: LlamaArchitecture) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.hidden,
        intermediate_size=sizes.intermediate,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.key_value_heads,
        max_position_embeddings=sizes.sequence_length,
        rms_norm_eps=sizes.norm_epsilon,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
        attn_implementation=CAUSAL,
    )
    network: nn.Module = LlamaForCausalLM(config)
    return network

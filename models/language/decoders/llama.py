"""Llama: a decoder trained on the next token, judged by the perplexity of held-out text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from models.datasets.base import Batch, Datasets
from models.datasets.language.samples.text_sample import text_sample
from models.datasets.language.tokens.flat_tokens import LAYOUT, flat_token_datasets
from models.datasets.language.tokens.next_token import Sequences
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.language.decoders.attention import CAUSAL
from models.language.decoders.decoder import Decoder, DecoderSizes
from models.language.loss import sequence_losses
from models.metrics import Mean
from models.recipe import Recipe


@dataclass(kw_only=True, slots=True)
class LlamaArchitecture(DecoderSizes):
    """Sizes of a Llama 2 (Touvron et al. 2023; rotary positions, RMSNorm before each block, SwiGLU, untied head)."""

    key_value_heads: int
    """As many as `heads` in the 7B model; fewer are shared by groups of heads."""
    norm_epsilon: float


class Perplexity(Mean):
    """Exponential of the mean cross entropy per token, over all ranks' sequences, which are of one length."""

    def compute(self) -> Tensor:
        """The perplexity of what was seen since `reset`."""
        return super().compute().exp()


class Llama(Decoder):
    """Llama 2 with the training case of FlagPerf's `llama2_7b`."""

    architecture: ClassVar[type[LlamaArchitecture]] = LlamaArchitecture

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.metrics = {"perplexity": Perplexity()}

    def evaluate(self, batch: Batch) -> None:
        """Cross entropy of each sequence."""
        self.metrics["perplexity"].update(sequence_losses(self.logits(batch), batch["targets"]))

    def datasets(self, spec: DataSpec) -> Datasets:
        """Next-token sequences, of which a part is held out."""
        length, vocabulary, source = self.sizes.sequence_length, self.sizes.vocabulary, self.recipe.data_source
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=source)
            return flat_token_datasets(root, sequence_length=length, vocabulary=vocabulary, source=source)
        sample = text_sample(spec.cache_path, "bpe", vocabulary)
        parts = (sample.train, sample.evaluation)
        return Datasets(*(Sequences(part, sequence_length=length, vocabulary=vocabulary) for part in parts))

    def build(self) -> nn.Module:
        """Transformers' Llama without its cache and its look at the mask."""
        from transformers import LlamaConfig, LlamaForCausalLM

        sizes = self.sizes
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

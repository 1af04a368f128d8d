"""ALBERT-base v2 on SQuAD 1.1 (Lan et al. 2019), one layer's weights used in every layer: ByteMLPerf's `albert`."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from models.datasets.language.questions.pair_tokenizer import PairForm
from models.language.questions.question_answering import QuestionAnswering, QuestionSizes


@dataclass(kw_only=True, slots=True)
class AlbertSizes(QuestionSizes):
    """Sizes of an ALBERT."""

    embedding: int
    """Width of the table of words, below that of the layers."""


class AlbertQuestionAnswering(QuestionAnswering):
    """ALBERT with transformers' head of beginnings and ends."""

    architecture = AlbertSizes
    form = PairForm(kind="unigram", padding="<pad>")
    unused = ("albert.pooler.", "albert.embeddings.position_ids")

    def build(self) -> nn.Module:
        """Transformers' AlbertForQuestionAnswering, with v2's GELU and without dropout."""
        from transformers import AlbertConfig, AlbertForQuestionAnswering

        sizes = self.sizes
        config = AlbertConfig(
            **sizes.encoder(),
            embedding_size=sizes.embedding,
            hidden_act="gelu_new",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            attn_implementation="sdpa",
        )
        network: nn.Module = AlbertForQuestionAnswering(config)
        return network

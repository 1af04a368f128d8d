"""BERT-base on SQuAD 1.1 (Devlin et al. 2018): ByteMLPerf's `bert-torch-fp32` and `bert-tf-fp32`."""

from __future__ import annotations

from torch import nn

from models.datasets.language.questions.pair_tokenizer import PairForm
from models.language.questions.question_answering import QuestionAnswering


class BertQuestionAnswering(QuestionAnswering):
    """BERT with transformers' head of beginnings and ends."""

    form = PairForm(kind="wordpiece")
    unused = ("bert.pooler.", "bert.embeddings.position_ids")

    def build(self) -> nn.Module:
        """Transformers' BertForQuestionAnswering."""
        from transformers import BertConfig, BertForQuestionAnswering

        network: nn.Module = BertForQuestionAnswering(BertConfig(**self.sizes.encoder(), attn_implementation="sdpa"))
        return network

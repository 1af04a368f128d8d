"""RoBERTa-base on SQuAD 1.1 (Liu et al. 2019): ByteMLPerf's `roberta`."""

from __future__ import annotations

from torch import nn

from models.datasets.language.questions.pair_tokenizer import PairForm
from models.language.questions.question_answering import QuestionAnswering


class RobertaQuestionAnswering(QuestionAnswering):
    """RoBERTa with transformers' head of beginnings and ends; it has one kind of segment alone."""

    input_names = ("input_ids", "attended")
    form = PairForm(kind="bpe", begin="<s>", separator="</s>", padding="<pad>", between=2)
    unused = ("roberta.pooler.", "roberta.embeddings.position_ids")

    def build(self) -> nn.Module:
        """Transformers' RobertaForQuestionAnswering; positions are numbered from the id after the padding's, 1."""
        from transformers import RobertaConfig, RobertaForQuestionAnswering

        config = RobertaConfig(
            **self.sizes.encoder(), type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1, attn_implementation="sdpa"
        )
        network: nn.Module = RobertaForQuestionAnswering(config)
        return network

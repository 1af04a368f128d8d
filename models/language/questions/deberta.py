"""DeBERTa-base, the first one, on SQuAD 1.1 (He et al. 2020), what and where apart: ByteMLPerf's `deberta`."""

from __future__ import annotations

from torch import nn

from models.datasets.language.questions.pair_tokenizer import PairForm
from models.language.questions.question_answering import QuestionAnswering


class DebertaQuestionAnswering(QuestionAnswering):
    """DeBERTa with transformers' head of beginnings and ends; positions are relative, segments it has none.

    Transformers reads a number off a tensor in each layer: run operator by operator, it waits for the device there, and
    it cannot be counted on the meta device. An exported graph holds the number itself.
    """

    count_device = "cpu"

    input_names = ("input_ids", "attended")
    form = PairForm(kind="bpe")
    unused = ("lm_predictions.", "cls.", "deberta.embeddings.position_ids")
    four_dimensions = False

    def build(self) -> nn.Module:
        """Transformers' DebertaForQuestionAnswering as microsoft/deberta-base is configured."""
        from transformers import DebertaConfig, DebertaForQuestionAnswering

        config = DebertaConfig(
            **self.sizes.encoder(),
            type_vocab_size=0,
            layer_norm_eps=1e-7,
            relative_attention=True,
            pos_att_type=["c2p", "p2c"],
            position_biased_input=False,
            max_relative_positions=-1,
            pad_token_id=0,
        )
        network: nn.Module = DebertaForQuestionAnswering(config)
        return network

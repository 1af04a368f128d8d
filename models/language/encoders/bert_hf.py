"""BERT on masked tokens alone: FlagPerf's `bert_hf`, transformers' BertForMaskedLM on OpenWebText."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from models.datasets.base import Batch, Datasets
from models.datasets.language.masked.bert_hf_tokens import LAYOUT, bert_hf_files
from models.datasets.language.masked.masking import Masking
from models.language.encoders.bert import bert_config, bert_tensor_plan
from models.language.encoders.masked_language_model import EncoderSizes, MaskedLanguageModel
from models.sharding.plan import TensorPlan
from models.weights import InitialWeights

RENAMED = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))
"""Names in the checkpoint that was made of Google's, and ours."""
UNUSED = ("bert.pooler.", "cls.seq_relationship.", "bert.embeddings.position_ids")
"""Beginnings of what a checkpoint of both pre-training tasks has besides."""


class BertMaskedLanguageModel(MaskedLanguageModel):
    """BERT with the training case of FlagPerf's `bert_hf`: a tenth of the tokens is hidden, always behind `[MASK]`."""

    architecture = EncoderSizes
    layout = LAYOUT
    anew = False

    def build(self) -> nn.Module:
        """Transformers' BERT with its head of masked tokens."""
        from transformers import BertForMaskedLM

        network: nn.Module = BertForMaskedLM(bert_config(self.sizes))
        return network

    def tensor_plan(self) -> TensorPlan | None:
        """As BERT's."""
        return bert_tensor_plan(self.sizes)

    def logits(self, batch: Batch) -> Tensor:
        """Scores without an attention mask: blocks are full."""
        scores: Tensor = self.network(input_ids=batch["input_ids"]).logits
        return scores

    def real_datasets(self, root: Path, masking: Masking) -> Datasets:
        """OpenWebText in bert-large-uncased's word pieces."""
        return self.flat_datasets(*bert_hf_files(root, source=self.recipe.data_source), masking)

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """bert-large-uncased, as Hugging Face hosts it or as BertForMaskedLM saves it again."""
        tensors = {}
        for name, tensor in weights.items():
            if name.startswith(UNUSED):
                continue
            for theirs, ours in RENAMED:
                name = name.replace(theirs, ours)  # noqa: PLW2901 - the same name, modernised
            tensors[name] = tensor
        return InitialWeights(tensors)

"""BERT-large that finds hidden words, served: FlagPerf's inference case `bertLarge`."""

from __future__ import annotations

from torch.utils.data import Dataset

from models.datasets.language.masked.flagperf_text import LAYOUT, HiddenWords
from models.datasets.language.tokens.next_token import TokenExample
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.language.encoders.bert_hf import BertMaskedLanguageModel


class ServedBertLarge(BertMaskedLanguageModel):
    """The network of `bert_hf`, judged on FlagPerf's own text."""

    layout = LAYOUT

    def evaluation_data(self, spec: DataSpec) -> Dataset[TokenExample]:
        """FlagPerf's text under `spec.root`, or masked word pieces of the standard library."""
        if spec.name != "dataset":
            return super().evaluation_data(spec)
        sizes, source = self.sizes, self.recipe.data_source
        return HiddenWords(
            dataset_root(spec, expected=LAYOUT, source=source),
            length=sizes.sequence_length,
            share=sizes.masked_share,
            mask_id=sizes.mask_id,
            vocabulary=sizes.vocabulary,
            source=source,
        )

"""RoFormer that says which of two cases is the more similar one: ByteMLPerf's `roformer-tf-fp32` (Su et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.utils.data import Dataset

from models.datasets.base import Batch, Counts
from models.datasets.language.tasks.similar_cases import LAYOUT, PADDING, CasePair, CasePairs, WordPairs, case_batch
from models.datasets.language.tokens.next_token import count_sequences
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.inferable import Inferable, Tensors
from models.metrics import Share
from models.recipe import STRICT, Recipe


@dataclass(kw_only=True, slots=True)
class RoFormerArchitecture:
    """Sizes of a RoFormer."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    layers: int
    hidden: int
    heads: int
    intermediate: int
    positions: int
    """Places for which angles are kept."""
    sequence_length: int


class PairScore(nn.Module):
    """Transformers' network as plain tensors: ids and segments (batch, length) to scores (batch,)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, segment_ids: Tensor) -> Tensors:
        """How alike the two texts of each row are; padding is what has the id 0.

        The mask goes in as what is added to the scores of attention: transformers looks into a smaller one.
        """
        dtype = next(self.network.parameters()).dtype
        padding = (input_ids == PADDING)[:, None, None, :]
        mask = torch.zeros(padding.shape, dtype=dtype, device=input_ids.device)
        mask = mask.masked_fill(padding, torch.finfo(dtype).min)
        scores = self.network(input_ids=input_ids, token_type_ids=segment_ids, attention_mask=mask).logits
        return (scores.squeeze(-1),)


class RoFormer(Inferable):
    """RoFormer with one score for a pair of texts; the unit is the pair, a sequence.

    Rows 2 i and 2 i + 1 are one question, which of the two is the more alike: they must be in one batch.
    """

    input_names = ("input_ids", "segment_ids")
    output_names = ("score",)

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            ValueError: something is unknown, missing or mistyped in `architecture`, or a batch would split a pair.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(RoFormerArchitecture).validate_python(recipe.architecture)
        if recipe.infer and any(size % 2 for size in (recipe.infer.batch_size, recipe.infer.samples or 0)):
            raise ValueError("model.infer.batch_size and samples must be even: two rows are one question")
        self.network = self._build()
        self.metrics = {"accuracy": Share()}

    def _build(self) -> nn.Module:
        from transformers import RoFormerConfig, RoFormerForSequenceClassification

        sizes = self.sizes
        config = RoFormerConfig(
            vocab_size=sizes.vocabulary,
            hidden_size=sizes.hidden,
            num_hidden_layers=sizes.layers,
            num_attention_heads=sizes.heads,
            intermediate_size=sizes.intermediate,
            max_position_embeddings=sizes.positions,
            num_labels=1,
        )
        network: nn.Module = RoFormerForSequenceClassification(config)
        return network

    def served(self) -> nn.Module:
        """One score a row."""
        return PairScore(self.network)

    def inputs(self, batch: Batch) -> Tensors:
        """Ids and segments."""
        return batch["input_ids"], batch["segment_ids"]

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """Share of pairs of rows of which the first has the higher score."""
        scores = outputs[0].float()
        self.metrics["accuracy"].update(scores[0::2] > scores[1::2])

    def evaluation_data(self, spec: DataSpec) -> Dataset[CasePair]:
        """CAIL2019-SCM under `spec.root`, or pairs of made-up texts."""
        sizes, source = self.sizes, self.recipe.data_source
        if spec.name != "dataset":
            return WordPairs(length=sizes.sequence_length, vocabulary=sizes.vocabulary, seed=0)
        root = dataset_root(spec, expected=LAYOUT, source=source)
        return CasePairs(root, length=sizes.sequence_length, vocabulary=sizes.vocabulary, source=source)

    def calibration_data(self, spec: DataSpec) -> Dataset[CasePair] | None:
        """Other made-up texts; of the real pairs, all that are asked for are evaluated on."""
        sizes = self.sizes
        if spec.name == "dataset":
            return None
        return WordPairs(length=sizes.sequence_length, vocabulary=sizes.vocabulary, seed=1)

    def collate(self, examples: list[CasePair]) -> Batch:
        """A batch of rows."""
        return case_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Random ids without padding, two texts of one length."""
        length = self.sizes.sequence_length
        segments = (torch.arange(length) >= length // 2).long()
        return {
            "input_ids": torch.randint(1, self.sizes.vocabulary, (batch_size, length)),
            "segment_ids": segments.expand(batch_size, length).contiguous(),
            "samples": batch_size,
            "tokens": batch_size * length,
        }

    def count(self, batch: Batch) -> Counts:
        """Rows and real tokens."""
        return count_sequences(batch)

"""A decoder that is served: it scores every next token of a sequence, and goes on from prompts."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import nn
from torch.utils.data import Dataset

from models.datasets.base import Batch
from models.datasets.spec import DataSpec
from models.generative import CacheSize, Generative
from models.inferable import Tensors
from models.language.cached import CachedDecoder, LastLogits
from models.language.decoders.decoder import Decoder


class ServedDecoder(Decoder, Generative):
    """A decoder that can be trained and served; its network gets neither a packed nor a padded beginning."""

    input_names: ClassVar[tuple[str, ...]] = ("input_ids",)
    output_names: ClassVar[tuple[str, ...]] = ("logits",)

    @abstractmethod
    def score(self, outputs: Tensors, batch: Batch) -> None:
        """Update the metrics from the scores (batch, length, vocabulary) of every next token."""

    def evaluate(self, batch: Batch) -> None:
        """As it is served."""
        self.score((self.logits(batch),), batch)

    def served(self) -> nn.Module:
        """Ids (batch, length) to scores (batch, length, vocabulary)."""
        return LastLogits(self.network)

    def inputs(self, batch: Batch) -> Tensors:
        """The ids."""
        return (batch["input_ids"],)

    def evaluation_data(self, spec: DataSpec) -> Dataset[Any]:
        """The held-out sequences; those trained on lie in the same files."""
        return self.datasets(spec).evaluation

    @property
    def longest(self) -> int:
        """The length it is trained at."""
        return int(getattr(self.sizes, "positions", None) or self.sizes.sequence_length)

    @property
    def cache_size(self) -> CacheSize:
        """Of the architecture's layers and heads."""
        sizes = self.sizes
        heads = getattr(sizes, "key_value_heads", sizes.heads)
        return CacheSize(sizes.layers, heads, getattr(sizes, "head_size", sizes.hidden // sizes.heads))

    def writer(self) -> CachedDecoder:
        """The network with a cache."""
        return CachedDecoder(self.network)

    def last_logits(self, count: int) -> nn.Module:
        """The network without one."""
        return LastLogits(self.network, count)

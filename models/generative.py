"""What writing adds to a served model: prompts, and a network that goes on from them with a key-value cache.

A request is a batch of prompts of one length. The network reads all of them at once (prefill), then one token of each
row at a time (decode); the cache has a fixed size, so that an engine compiles each of the two once.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils.data import Dataset

from models.datasets.base import Batch
from models.datasets.spec import DataSpec
from models.inferable import Inferable


class CacheSize(NamedTuple):
    """Of the key-value cache, without rows and length."""

    layers: int
    heads: int
    """Key-value heads: as many as the query's, or fewer that groups of them share."""
    head_size: int

    @property
    def elements_per_token(self) -> int:
        """Keys and values of one token in one row."""
        return 2 * self.layers * self.heads * self.head_size

    def shape(self, rows: int, length: int) -> tuple[int, ...]:
        """(layers, 2, rows, heads, length, head size): keys, then values."""
        return (self.layers, 2, rows, self.heads, length, self.head_size)


class Writer(nn.Module):
    """A network that continues prompts. Both methods change the cache in place and look at no value on the host."""

    @abstractmethod
    def prefill(self, ids: Tensor, cache: Tensor) -> Tensor:
        """Read the prompts.

        Args:
            ids: int64 (rows, prompt tokens).
            cache: as `CacheSize.shape` says, with at least the prompt's length; its first places are written.

        Returns:
            Scores of the next token (rows, vocabulary).
        """

    @abstractmethod
    def step(self, ids: Tensor, position: Tensor, cache: Tensor) -> Tensor:
        """Read one further token of each row.

        Args:
            ids: int64 (rows, 1).
            position: int64 (1,): the tokens' place, counted from 0; all places of the cache before it are written.
            cache: as in `prefill`.

        Returns:
            Scores of the next token (rows, vocabulary).
        """


class Generative(Inferable):
    """A model that writes. Without `infer.generation` it is served like any other: one forward pass a request."""

    @property
    @abstractmethod
    def longest(self) -> int:
        """Tokens of prompt and answer together that the network can place."""

    @property
    @abstractmethod
    def cache_size(self) -> CacheSize:
        """Of its cache."""

    @abstractmethod
    def writer(self) -> Writer:
        """The network as it continues prompts; weights shared."""

    @abstractmethod
    def last_logits(self, count: int) -> nn.Module:
        """The network as one forward pass without a cache: ids (rows, length) to a tuple of one tensor.

        That tensor holds the scores after each of the last `count` tokens: (rows, count, vocabulary). What writing
        with a cache is held to.
        """

    def prompt_data(self, spec: DataSpec) -> Dataset[Any]:
        """Examples whose first tokens are prompts; by default those that accuracy is taken over."""
        return self.evaluation_data(spec)

    def prompts(self, batch: Batch, length: int) -> Tensor:
        """The first `length` tokens of each row: int64 (rows, length).

        Raises:
            ValueError: rows are shorter.
        """
        ids: Tensor = batch["input_ids"]
        if ids.shape[1] < length:
            raise ValueError(f"prompts of {length} tokens, but the data's sequences have {ids.shape[1]}")
        return ids[:, :length].contiguous()

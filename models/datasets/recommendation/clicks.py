"""Clicks as every source gives them, and a made-up source for `data=sample`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from models.datasets.base import Batch

Ids = NDArray[np.int64]
_ODD = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Of the splitmix64 generator (Steele et al., OOPSLA 2014)."""
TRAINING_ROWS, EVALUATION_ROWS = 65536, 8192
DENSE_WEIGHT, ID_WEIGHT, NOISE = 0.5, 1.1, 0.5
"""How much the dense features, the ids and chance say about a click of the sample."""


class Clicks(NamedTuple):
    """Advertisements that were shown, a row each; one example is one row, a whole batch may come as one block."""

    dense: NDArray[np.float32]
    """(rows, dense features): logarithms of counts."""
    ids: Ids
    """(rows, all lookups): the tables' ids one after another, each within its table's rows."""
    clicked: NDArray[np.float32]
    """(rows,): 1 where the user clicked."""


def click_batch(examples: Sequence[Clicks]) -> Batch:
    """Join blocks: `dense` float32 (batch, features), `ids` int64 (batch, lookups), `clicked` float32 (batch,)."""
    columns = zip(Clicks._fields, zip(*examples, strict=True), strict=True)
    return {name: torch.from_numpy(np.concatenate(blocks)) for name, blocks in columns}


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Values scattered evenly over all of 64 bits, the same on every machine: splitmix64's finaliser."""
    add, first, second = (np.uint64(odd) for odd in _ODD)
    values = values + add
    values = (values ^ (values >> np.uint64(30))) * first
    values = (values ^ (values >> np.uint64(27))) * second
    return values ^ (values >> np.uint64(31))


def multi_hot(ids: NDArray[np.integer], rows: Sequence[int], lookups: Sequence[int]) -> Ids:
    """Several ids for each one, as MLPerf's DLRM v2 has them: the first is its own, the others follow from it.

    MLPerf draws the others once from NumPy's generator, into tables as large as the embedding; here they are a hash of
    the id, its table and its place, as even and as constant.

    Args:
        ids: (batch, tables), not negative; taken modulo the table's rows.
        rows: of each table.
        lookups: how many ids each table gets.

    Returns:
        (batch, sum of lookups).
    """
    parts = []
    for table, (size, count) in enumerate(zip(rows, lookups, strict=True)):
        own = ids[:, table : table + 1].astype(np.uint64) % np.uint64(size)
        places = (np.arange(1, count, dtype=np.uint64) + np.uint64(table << 16)) << np.uint64(32)
        parts += [own, mixed(own | places) % np.uint64(size)]
    return np.concatenate(parts, axis=1).astype(np.int64)


class ClickSample(Dataset[Clicks]):
    """Made-up clicks: few ids are frequent, as in the real data, and each has a hidden say in how likely a click is.

    A click also depends on the dense features, and on chance: nobody can foresee all of them.
    """

    def __init__(self, *, train: bool, dense_features: int, rows: Sequence[int], lookups: Sequence[int]) -> None:
        count = TRAINING_ROWS if train else EVALUATION_ROWS
        random = np.random.default_rng([2008_13535, train])
        weights = np.random.default_rng(1906_00091).standard_normal(dense_features) / dense_features**0.5
        counts = random.standard_normal((count, dense_features))
        own = np.array(rows) ** random.random((count, len(rows))) - 1  # the logarithm is even: id 0 is most frequent
        ids = own.astype(np.int64)
        logit = DENSE_WEIGHT * counts @ weights + ID_WEIGHT * _hidden(ids).sum(axis=1) / len(rows) ** 0.5
        chance = random.logistic(scale=NOISE, size=count)
        dense = (counts + 5).astype(np.float32)  # few are below 1, as logarithms of counts are not
        self.clicks = Clicks(dense, multi_hot(ids, rows, lookups), (logit > chance + 0.5).astype(np.float32))

    def __len__(self) -> int:
        return len(self.clicks.clicked)

    def __getitem__(self, index: int) -> Clicks:
        return self._block([index])

    def __getitems__(self, indices: list[int]) -> list[Clicks]:
        """A whole batch as one block; torch's loader asks for it where there is this method."""
        return [self._block(indices)]

    def _block(self, indices: list[int]) -> Clicks:
        dense, ids, clicked = self.clicks
        return Clicks(dense[indices], ids[indices], clicked[indices])


def _hidden(ids: Ids) -> NDArray[np.float64]:
    """What each id says, (batch, tables): even between -1.7 and 1.7, variance 1."""
    tables = np.arange(ids.shape[1], dtype=np.uint64) << np.uint64(40)
    share = mixed(ids.astype(np.uint64) | tables) / 2.0**64
    hidden: NDArray[np.float64] = (2 * share - 1) * 3**0.5
    return hidden

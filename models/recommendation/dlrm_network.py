"""DLRM-DCNv2: embedding tables and a bottom MLP, crossed by a low-rank DCN v2, then a top MLP.

Naumov et al., arXiv:1906.00091; Wang et al., arXiv:2008.13535; initial values as in torchrec, MLPerf's reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from models.training import STRICT


@dataclass(kw_only=True, slots=True)
class DlrmArchitecture:
    """Sizes of a DLRM-DCNv2."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    dense_features: int
    rows: tuple[int, ...]
    """Of each embedding table."""
    lookups: tuple[int, ...]
    """Rows that are looked up in each table and added."""
    dimension: int
    """Width of a table; the bottom MLP ends in the same."""
    bottom: tuple[int, ...]
    top: tuple[int, ...]
    """The last layer has one output, the logit."""
    cross_layers: int
    cross_rank: int
    sparse_gradients: bool
    """Whether a table's gradient holds the rows that were looked up alone; as dense ones they are as large as it."""

    def __post_init__(self) -> None:
        where = "model.architecture"
        if len(self.rows) != len(self.lookups):
            raise ValueError(f"{where}.lookups has {len(self.lookups)} numbers for {len(self.rows)} tables")
        if self.bottom[-1:] != (self.dimension,):
            raise ValueError(f"{where}.bottom must end in the width of the tables, {self.dimension}")
        if self.top[-1:] != (1,):
            raise ValueError(f"{where}.top must end in 1")

    @property
    def ids(self) -> int:
        """Ids of one sample, over all tables."""
        return sum(self.lookups)


class LowRankCross(nn.Module):
    """DCN v2's layers with factored weights: x' = x0 * (W V x + b) + x, for x and x0 of (batch, features)."""

    def __init__(self, features: int, *, layers: int, rank: int) -> None:
        super().__init__()
        down = [nn.Linear(features, rank, bias=False) for _ in range(layers)]
        up = [nn.Linear(rank, features) for _ in range(layers)]
        for layer in (*down, *up):
            nn.init.xavier_normal_(layer.weight)
        for layer in up:
            nn.init.zeros_(layer.bias)
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)

    def forward(self, first: Tensor) -> Tensor:
        """All layers in turn."""
        x = first
        for down, up in zip(self.down, self.up, strict=True):
            x = first * up(down(x)) + x
        return x


class DlrmNetwork(nn.Module):
    """Dense features and ids to the logit of a click."""

    def __init__(self, sizes: DlrmArchitecture) -> None:
        super().__init__()
        self.lookups = list(sizes.lookups)
        tables = [
            nn.EmbeddingBag(rows, sizes.dimension, mode="sum", sparse=sizes.sparse_gradients) for rows in sizes.rows
        ]
        for table in tables:
            edge = table.num_embeddings**-0.5
            nn.init.uniform_(table.weight, -edge, edge)
        self.tables = nn.ModuleList(tables)
        self.bottom = _mlp((sizes.dense_features, *sizes.bottom))
        crossed = (1 + len(sizes.rows)) * sizes.dimension
        self.cross = LowRankCross(crossed, layers=sizes.cross_layers, rank=sizes.cross_rank)
        self.top = _mlp((crossed, *sizes.top))[:-1]  # no ReLU after the logit

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        """Logits (batch,).

        Args:
            dense: (batch, dense features), floating-point.
            ids: (batch, all lookups), integers; the tables' ids one after another, each within its table's rows.
        """
        parts = torch.split(ids, self.lookups, dim=1)
        pooled = [table(part) for table, part in zip(self.tables, parts, strict=True)]
        return self.crossed(dense, pooled)

    def crossed(self, dense: Tensor, pooled: list[Tensor]) -> Tensor:
        """Logits (batch,) of the dense features and what was looked up, a (batch, dimension) of each table."""
        logits: Tensor = self.top(self.cross(torch.cat([self.bottom(dense), *pooled], dim=1)))
        return logits.squeeze(1)


class ServedDlrm(nn.Module):
    """The same network for engines: lookups are gathers and sums, for exported bags become loops over the rows."""

    def __init__(self, network: DlrmNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, dense: Tensor, ids: Tensor) -> tuple[Tensor]:
        """Logits (batch,)."""
        parts = torch.split(ids, self.network.lookups, dim=1)
        tables = zip(parts, self.network.tables, strict=True)
        pooled = [embedding(part, cast("Tensor", table.weight)).sum(dim=1) for part, table in tables]
        return (self.network.crossed(dense, pooled),)


def _mlp(sizes: Sequence[int]) -> nn.Sequential:
    layers = [layer for ends in pairwise(sizes) for layer in (nn.Linear(*ends), nn.ReLU())]
    return nn.Sequential(*layers)

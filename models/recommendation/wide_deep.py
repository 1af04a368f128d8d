"""Wide & deep: does this user click on this advertisement? ByteMLPerf's `widedeep-tf-fp32` (Cheng et al. 2016).

ByteMLPerf serves a frozen graph of TensorFlow's estimator: 13 counts, 26 ids hashed to 1,000 buckets, probabilities.
What its linear part takes and how wide its tables are is not published: here the linear part takes each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import Dataset

from models.datasets.base import Batch, Counts
from models.datasets.recommendation.clicks import Clicks, ClickSample, click_batch
from models.datasets.recommendation.criteo_hashed import LAYOUT, HashedClicks
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.inferable import Inferable, Tensors
from models.metrics import Auc, Mean, Share
from models.recipe import STRICT, Recipe


@dataclass(kw_only=True, slots=True)
class WideDeepArchitecture:
    """Sizes of a wide & deep network."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    dense_features: int
    columns: int
    """Kinds of ids."""
    buckets: int
    """Of each kind."""
    dimension: int
    """Width of a table."""
    deep: tuple[int, ...]
    """Widths of the hidden layers."""


class WideDeepNetwork(nn.Module):
    """Counts and ids to the logit of a click: a linear function of all, and layers over the tables' rows."""

    offsets: Tensor

    def __init__(self, sizes: WideDeepArchitecture) -> None:
        super().__init__()
        rows = sizes.columns * sizes.buckets
        self.register_buffer("offsets", torch.arange(0, rows, sizes.buckets), persistent=False)
        self.wide, self.wide_dense = nn.Embedding(rows, 1), nn.Linear(sizes.dense_features, 1)
        self.table = nn.Embedding(rows, sizes.dimension)
        widths = (sizes.dense_features + sizes.columns * sizes.dimension, *sizes.deep)
        layers = [layer for ends in pairwise(widths) for layer in (nn.Linear(*ends), nn.ReLU())]
        self.deep = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        """Logits (batch,).

        Args:
            dense: (batch, dense features), floating-point.
            ids: int64 (batch, columns), each below the buckets.
        """
        places = ids + self.offsets
        wide = self.wide(places).sum(dim=1) + self.wide_dense(dense)
        deep = self.deep(torch.cat([dense, self.table(places).flatten(1)], dim=1))
        logits: Tensor = (wide + deep).squeeze(1)
        return logits


class WideDeep(Inferable):
    """The network with Criteo's rows; the unit is the sample, an advertisement that was shown."""

    input_names = ("dense", "ids")
    output_names = ("logits",)

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(WideDeepArchitecture).validate_python(recipe.architecture)
        self.network = WideDeepNetwork(self.sizes)
        self.metrics = {"auc": Auc(), "log_loss": Mean(), "accuracy": Share()}

    def inputs(self, batch: Batch) -> Tensors:
        """Counts and ids."""
        return batch["dense"], batch["ids"]

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """Area under the ROC curve, log loss, and the share of rows whose more likely outcome is the true one."""
        logits, clicked = outputs[0].float(), batch["clicked"]
        self.metrics["auc"].update(logits, clicked)
        self.metrics["log_loss"].update(binary_cross_entropy_with_logits(logits, clicked), weight=len(clicked))
        self.metrics["accuracy"].update((logits > 0) == (clicked > 0))

    def evaluation_data(self, spec: DataSpec) -> Dataset[Clicks]:
        """Rows of Criteo's logs under `spec.root`, or made-up clicks."""
        if spec.name != "dataset":
            return self._sample(train=False)
        source = self.recipe.data_source
        root = dataset_root(spec, expected=LAYOUT, source=source)
        return HashedClicks(root, buckets=self.sizes.buckets, source=source)

    def calibration_data(self, spec: DataSpec) -> Dataset[Clicks] | None:
        """Other made-up clicks; of Criteo's, all that are asked for are evaluated on."""
        return None if spec.name == "dataset" else self._sample(train=True)

    def _sample(self, *, train: bool) -> ClickSample:
        sizes = self.sizes
        rows, lookups = [sizes.buckets] * sizes.columns, [1] * sizes.columns
        return ClickSample(train=train, dense_features=sizes.dense_features, rows=rows, lookups=lookups)

    def collate(self, examples: list[Clicks]) -> Batch:
        """`dense` float32 (batch, features), `ids` int64 (batch, columns), `clicked` float32 (batch,)."""
        return click_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Counts between 0 and 1, ids even over the buckets, and as many clicks as not."""
        sizes = self.sizes
        return {
            "dense": torch.rand(batch_size, sizes.dense_features),
            "ids": torch.randint(sizes.buckets, (batch_size, sizes.columns)),
            "clicked": torch.randint(2, (batch_size,)).float(),
        }

    def count(self, batch: Batch) -> Counts:
        """Rows of the batch."""
        return Counts(samples=len(batch["clicked"]))

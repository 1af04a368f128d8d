"""DLRM-DCNv2: does this user click on this advertisement? MLPerf Training's recommendation since v3.0."""

from __future__ import annotations

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import Dataset

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.recommendation.clicks import Clicks, ClickSample, click_batch
from models.datasets.recommendation.criteo import LAYOUT, criteo_datasets, criteo_evaluation
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.inferable import Inferable, Tensors
from models.metrics import Auc, Mean
from models.recipe import Recipe
from models.recommendation.dlrm_network import DlrmArchitecture, DlrmNetwork, ServedDlrm
from models.trainable import Trainable


class Dlrm(Trainable, Inferable):
    """Embedding tables, two MLPs and a cross network; the unit is the sample, an advertisement that was shown.

    The tables are plain `nn.EmbeddingBag`s, each a lookup of its own and whole on every device.
    """

    input_names = ("dense", "ids")
    output_names = ("logits",)

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or contradictory in `architecture`.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(DlrmArchitecture).validate_python(recipe.architecture)
        self.network = DlrmNetwork(self.sizes)
        self.metrics = {"auc": Auc(), "log_loss": Mean()}

    def logits(self, batch: Batch) -> Tensor:
        """Log odds of a click, float32 (batch,)."""
        logits: Tensor = self.network(batch["dense"], batch["ids"])
        return logits.float()

    def loss(self, batch: Batch) -> Tensor:
        """Mean binary cross entropy."""
        return binary_cross_entropy_with_logits(self.logits(batch), batch["clicked"].float())

    def evaluate(self, batch: Batch) -> None:
        """Area under the ROC curve, and the loss."""
        self.score((self.logits(batch),), batch)

    def served(self) -> nn.Module:
        """The network with its lookups as every engine has them."""
        return ServedDlrm(self.network)  # type: ignore[arg-type]

    def inputs(self, batch: Batch) -> Tensors:
        """Dense features and ids."""
        return batch["dense"], batch["ids"]

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """As in training's evaluation."""
        logits, clicked = outputs[0].float(), batch["clicked"].float()
        self.metrics["auc"].update(logits, clicked)
        self.metrics["log_loss"].update(binary_cross_entropy_with_logits(logits, clicked), weight=len(clicked))

    def datasets(self, spec: DataSpec) -> Datasets:
        """Made-up clicks (`sample`), or Criteo's logs (`dataset`)."""
        rows, lookups = self.sizes.rows, self.sizes.lookups
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=self.recipe.data_source)
            return criteo_datasets(
                root, rows=rows, lookups=lookups, cache=spec.cache_path, source=self.recipe.data_source
            )
        features = self.sizes.dense_features
        train, evaluation = (
            ClickSample(train=part, dense_features=features, rows=rows, lookups=lookups) for part in (True, False)
        )
        return Datasets(train, evaluation)

    def evaluation_data(self, spec: DataSpec) -> Dataset[Clicks]:
        """What training evaluates on; of Criteo's logs the last day alone need be there."""
        if spec.name != "dataset":
            return self.datasets(spec).evaluation
        source = self.recipe.data_source
        root = dataset_root(spec, expected=LAYOUT, source=source)
        rows, lookups = self.sizes.rows, self.sizes.lookups
        return criteo_evaluation(root, rows=rows, lookups=lookups, cache=spec.cache_path, source=source)

    def calibration_data(self, spec: DataSpec) -> Dataset[Clicks] | None:
        """The sample's clicks to train on; Criteo's other days are not asked for."""
        return None if spec.name == "dataset" else self.datasets(spec).train

    def collate(self, examples: list[Clicks]) -> Batch:
        """`dense` float32 (batch, features), `ids` int64 (batch, lookups), `clicked` float32 (batch,)."""
        return click_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Normal dense features, ids even over each table, and as many clicks as not."""
        sizes = self.sizes
        ids = [torch.randint(rows, (batch_size, count)) for rows, count in zip(sizes.rows, sizes.lookups, strict=True)]
        return {
            "dense": torch.randn(batch_size, sizes.dense_features),
            "ids": torch.cat(ids, dim=1),
            "clicked": torch.randint(2, (batch_size,)).float(),
        }

    def count(self, batch: Batch) -> Counts:
        """Rows of the batch."""
        return Counts(samples=len(batch["clicked"]))

"""The data of a run, as one of MLflow's data sets: what it is called, where it comes from, how it is told apart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from runner.config.schema import Case
from runner.core.tasks import TASKS

CONTEXT_TAG = "mlflow.data.context"
SOURCE_TYPE = "touchstone"
DIGEST_LENGTH = 16
"""MLflow's digests have 36 characters at most."""
_MADE = {
    "sample": "small learnable data, made by the engine without a network",
    "synthetic": "random tensors of the right shape, made on the device",
}


@dataclass(kw_only=True, slots=True, frozen=True)
class DataOfRun:
    """What MLflow's `Dataset` and its tag are made of."""

    name: str
    digest: str
    source: str
    """JSON."""
    context: str
    """What it was read for: `training` or `evaluation`."""

    def to_input(self) -> Any:
        """MLflow's form of it."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name=self.name, digest=self.digest, source_type=SOURCE_TYPE, source=self.source)
        return DatasetInput(dataset, tags=[InputTag(CONTEXT_TAG, self.context)])


def data_of(case: Case) -> DataOfRun | None:
    """The data of a case; None where it has no model, so no data.

    The digest is that of the description of the data, not of its bytes: equal for two runs that were told to read the
    same. The folder of a real data set is no part of it, for it lies elsewhere on each machine.
    """
    if not case.has_model:
        return None
    about: dict[str, Any] = {"data": case.data.name, "dataset": case.model.dataset}
    if case.data.name != "dataset":
        about |= {"model": case.model.name, "architecture": case.model.architecture}
    else:
        about |= {"described": case.model.data_source}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()[:DIGEST_LENGTH]
    name = str(case.model.dataset) if case.data.name == "dataset" else f"{case.data.name} data for {case.model.name}"
    source = {"is": _MADE.get(case.data.name) or case.model.data_source}
    context = "evaluation" if TASKS.find(case.task.name).serves else "training"
    return DataOfRun(name=name, digest=digest, source=json.dumps(source), context=context)

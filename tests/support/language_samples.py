"""Recipes of the language models as the command line composes them, and one cache for all tests of a run."""

from __future__ import annotations

import os
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra

from models.datasets.spec import DataSpec
from models.published import Published
from models.recipe import Recipe
from models.trainable import Trainable
from runner.config import resolvers
from runner.config.compose import to_case
from runner.config.schema import Case


@cache
def _case(model: str, scale: str) -> Case:
    resolvers.register()
    GlobalHydra.instance().clear()
    with initialize_config_module("conf", version_base=None):
        config = compose("config", overrides=[f"model={model}", "vendor=cpu", f"scale={scale}"])
    return to_case(config)


def recipe(model: str, scale: str = "tiny") -> Recipe:
    """The model's YAML at one scale, for the caller to change."""
    return deepcopy(_case(model, scale).model)


def case_of(*overrides: str) -> Case:
    """A case as the command line composes it, with the sample cache of this test run."""
    resolvers.register()
    GlobalHydra.instance().clear()
    cache = f"data.cache={os.environ['TOUCHSTONE_TEST_SAMPLES']}"
    with initialize_config_module("conf", version_base=None):
        return to_case(compose("config", overrides=["vendor=cpu", *overrides, cache]))


def published(model: str) -> Published:
    """What others published for a model."""
    return _case(model, "reference").published


def sample_spec() -> DataSpec:
    """`data=sample` with the cache of this test run, which `tests/conftest.py` makes and removes."""
    return DataSpec(name="sample", cache=os.environ["TOUCHSTONE_TEST_SAMPLES"])


def dataset_spec(root: Path | None) -> DataSpec:
    """`data=dataset` under `root`."""
    return DataSpec(
        name="dataset", root=None if root is None else str(root), cache=os.environ["TOUCHSTONE_TEST_SAMPLES"]
    )


def evaluate(trainable: Trainable, batches: list[dict[str, Any]]) -> dict[str, float]:
    """The metrics over `batches`, without a trainer."""
    for metric in trainable.metrics.values():
        metric.reset()
    for batch in batches:
        trainable.evaluate(batch)
    return {name: float(metric.compute()) for name, metric in trainable.metrics.items()}

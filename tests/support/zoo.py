"""Every model of `conf/model`, built as the command line composes it, with the first rows of its sample data."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from language_samples import recipe, sample_spec

from models.datasets.base import Batch
from models.inferable import Inferable
from models.trainable import Trainable

CONF = Path(__file__).parents[2] / "conf" / "model"


def _with(section: str) -> list[str]:
    """Models whose YAML has a section, in order."""
    leaves = (path for path in CONF.glob("*.yaml") if path.stem != "none")
    return sorted(path.stem for path in leaves if section in yaml.safe_load(path.read_text()))


MODELS = _with("train")
SERVED = _with("infer")
ROWS = 4


class Prepared(NamedTuple):
    """A tiny model and its sample data as a loader would give it."""

    trainable: Trainable
    """In evaluation; nobody trains it."""
    train: Batch
    evaluation: Batch


def model_class(name: str) -> type[Any]:
    """The class that the model's YAML names."""
    module, _, cls = recipe(name).implementations["pytorch"].rpartition(".")
    found: type[Any] = getattr(importlib.import_module(module), cls)
    return found


def built(name: str, scale: str = "tiny", *, seed: int = 0) -> Trainable:
    """The model with random weights, on torch's default device."""
    torch.manual_seed(seed)
    found: Trainable = model_class(name)(recipe(name, scale))
    return found


def built_to_serve(name: str, scale: str = "tiny", **architecture: Any) -> Inferable:
    """The model in evaluation, with random weights that are always the same; fields of its architecture changed."""
    changed = recipe(name, scale)
    changed.architecture |= architecture
    torch.manual_seed(0)
    found: Inferable = model_class(name)(changed).eval()
    found.begin_serving()
    return found


@cache
def prepared(name: str) -> Prepared:
    """The tiny model with its batches; made once for all tests of a process."""
    trainable = built(name).eval()
    train, evaluation = (_first_rows(trainable, data) for data in trainable.datasets(sample_spec()))
    return Prepared(trainable, train, evaluation)


def _first_rows(trainable: Trainable, data: Any) -> Batch:
    torch.manual_seed(0)
    return trainable.collate([data[index] for index in range(ROWS)])

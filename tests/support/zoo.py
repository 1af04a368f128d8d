"""Every model of `conf/model`, built as the command line composes it."""

from __future__ import annotations

import importlib
from pathlib import Path

from language_samples import recipe

from models.trainable import Trainable

CONF = Path(__file__).parents[2] / "conf" / "model"
MODELS = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem != "none")


def model_class(name: str) -> type[Trainable]:
    """The class that the model's YAML names."""
    module, _, cls = recipe(name).implementations["pytorch"].rpartition(".")
    found: type[Trainable] = getattr(importlib.import_module(module), cls)
    return found


def built(name: str, scale: str = "tiny") -> Trainable:
    """The model with random weights, on torch's default device."""
    return model_class(name)(recipe(name, scale))

"""Language models from configuration, small enough for a processor."""

from __future__ import annotations

import importlib
from typing import Any

from language_samples import recipe

from models.trainable import Trainable


def build(model: str, scale: str = "tiny", **architecture: Any) -> Trainable:
    case = recipe(model, scale)
    case.architecture |= architecture
    module, name = case.implementations["pytorch"].rsplit(".", 1)
    trainable: Trainable = getattr(importlib.import_module(module), name)(case)
    return trainable

"""The recipe of conf/model/mask_rcnn.yaml, and tiny models made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from models.recipe import Recipe
from models.vision.detection.mask_rcnn import MaskRcnn
from runner.config.resolvers import register

CONF = Path(__file__).parents[2] / "conf" / "model" / "mask_rcnn.yaml"


def recipe(scale: str, **architecture: Any) -> Recipe:
    register()
    composed = OmegaConf.create({"scale": scale, "model": OmegaConf.load(CONF)})
    values: Any = OmegaConf.to_container(composed, resolve=True)["model"]  # type: ignore[index,call-overload]
    values["architecture"] |= architecture
    return TypeAdapter(Recipe).validate_python(values)


def tiny(seed: int = 0, **architecture: Any) -> MaskRcnn:
    torch.manual_seed(seed)
    return MaskRcnn(recipe("tiny", **architecture))

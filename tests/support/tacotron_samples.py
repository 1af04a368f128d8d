"""A small Tacotron 2 and utterances of chosen lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from models.audio.synthesis.tacotron2 import Tacotron2Trainable
from models.datasets.audio.ljspeech import Utterance
from models.datasets.base import Batch
from models.recipe import Recipe
from runner.config.resolvers import register

ROOT = Path(__file__).parents[2]


def recipe(scale: str = "tiny", **architecture: Any) -> Recipe:
    register()
    case = OmegaConf.create({"scale": scale, "model": OmegaConf.load(ROOT / "conf/model/tacotron2.yaml")})
    values = OmegaConf.to_container(case.model, resolve=True)
    checked = TypeAdapter(Recipe).validate_python(values)
    checked.architecture |= architecture
    return checked


def trainable(**architecture: Any) -> Tacotron2Trainable:
    torch.manual_seed(0)
    return Tacotron2Trainable(recipe(**architecture))


def utterances(*sizes: tuple[int, int]) -> list[Utterance]:
    """Random clips of (symbols, frames)."""
    random = torch.Generator().manual_seed(7)
    return [
        Utterance(torch.randint(1, 64, (text,), generator=random), torch.randn(frames, 80, generator=random) - 5)
        for text, frames in sizes
    ]


def predict(model: Tacotron2Trainable, batch: Batch) -> Any:
    return model.network(batch["symbols"], batch["symbol_lengths"], batch["mels"], batch["mel_lengths"])

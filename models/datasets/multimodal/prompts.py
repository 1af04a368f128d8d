"""Captions for which images are made: FlagPerf's ten of VizWiz, or a text file of one's own.

Each brings the noise that its image begins with. It depends on the caption's place alone: neither batches nor engines
change it.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.datasets.base import Batch
from models.datasets.multimodal.clip_tokens import ClipTokenizer
from models.datasets.reading import Reader

OWN, VIZWIZ = "captions.txt", ("val.json", "annotations/val.json", "data_vizwiz/val.json")
LAYOUT = (
    f"{OWN}, a caption per line, or VizWiz' {' or '.join(VIZWIZ)}; CLIP's vocab.json and merges.txt; and clip/, a CLIP "
    "of transformers (config.json and model.safetensors) that judges the images"
)
DRAWN, SEED, SHORTER_THAN = 10, 0, 75
"""FlagPerf draws so many captions, with this seed of Python's generator, of those with fewer characters than that."""


class Prompt(NamedTuple):
    """One image that is to be made."""

    tokens: Tensor
    """int64 (length,)."""
    noise: Tensor
    """float32 (channels, size, size), normal."""


class Prompts(Dataset[Prompt]):
    """Captions in order."""

    def __init__(self, captions: list[str], tokenizer: ClipTokenizer, *, shape: tuple[int, int, int]) -> None:
        self.tokens = [tokenizer(caption) for caption in captions]
        self.shape = shape

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> Prompt:
        noise = torch.randn(self.shape, generator=torch.Generator().manual_seed(index))
        return Prompt(self.tokens[index], noise)


def prompt_batch(examples: list[Prompt]) -> Batch:
    """`input_ids` int64 (batch, length) and `noise` float32 (batch, channels, size, size)."""
    return {
        "input_ids": torch.stack([example.tokens for example in examples]),
        "noise": torch.stack([example.noise for example in examples]),
    }


def read_captions(root: Path, reader: Reader) -> list[str]:
    """All lines of `captions.txt` that are not empty, or FlagPerf's draw from VizWiz' validation captions.

    Raises:
        DataError: there is neither, or it is malformed, or holds too few captions.
    """
    if (root / OWN).is_file():
        lines = [line.strip() for line in reader.text(root / OWN).splitlines()]
        found = [line for line in lines if line]
        if not found:
            raise reader.error("No captions", root / OWN)
        return found
    path = next((root / name for name in VIZWIZ if (root / name).is_file()), None)
    if path is None:
        raise reader.error("No captions", root)
    content = reader.json(path)
    with reader.reading(path, "Not VizWiz' captions"):
        captions = [one["caption"] for one in content["annotations"] if len(one["caption"]) < SHORTER_THAN]
        return random.Random(SEED).sample(captions, DRAWN)

"""Sample data for text to image: coloured figures, painted straight into the latent, with captions that name them.

The caption says which colour, which figure and which quarter; where within the quarter and how bright is chance. What a
caption says cannot be seen under strong noise, so a model that reads it has a lower loss than one that does not.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.datasets.multimodal.captioned import CaptionedLatent
from models.datasets.multimodal.clip_tokens import ClipTokenizer, word_merges

COLOURS = {
    "red": (3.5, -3.5, 1.75, -1.75),
    "green": (-3.5, 3.5, 1.75, -1.75),
    "blue": (-1.75, 1.75, -3.5, 3.5),
    "white": (1.75, -1.75, 3.5, 3.5),
}
"""What a colour adds to each channel; a tenth of a latent is figure, and its variance is then about 1."""
FIGURES = ("square", "cross", "frame")
PLACES = ("left above", "right above", "left below", "right below")
IMAGES = {"train": 4096, "evaluation": 320}
LATENT_SCALE = 0.18215
"""Stable Diffusion's: the moments are of the latent before it."""
LOG_VARIANCE = -10.0


class FigureSample(Dataset[CaptionedLatent]):
    """All images of one part, made at once; the same on every machine."""

    def __init__(self, part: Literal["train", "evaluation"], *, size: int, tokenizer: ClipTokenizer) -> None:
        random = np.random.default_rng([2112_10752, len(part)])
        kinds = list(product(COLOURS, FIGURES, PLACES))
        chosen = random.integers(len(kinds), size=IMAGES[part])
        tokens = [tokenizer(f"a {colour} {figure} {place}") for colour, figure, place in kinds]
        self.captions = [tokens[kind] for kind in chosen]
        self.latents = torch.stack([_painted(kinds[kind], size, random) for kind in chosen])

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, index: int) -> CaptionedLatent:
        mean = self.latents[index] / LATENT_SCALE
        return CaptionedLatent(torch.cat([mean, torch.full_like(mean, LOG_VARIANCE)]), self.captions[index])


@lru_cache(maxsize=2)
def figure_datasets(*, size: int, length: int, vocabulary: int) -> tuple[FigureSample, FigureSample]:
    """Training and evaluation images.

    Args:
        size: edge of a latent, at least 8.
        length: tokens of a caption.
        vocabulary: ids that the model knows.

    Raises:
        ValueError: the sample's captions do not fit in them.
    """
    words = sorted({"a", *COLOURS, *FIGURES, *" ".join(PLACES).split()})
    ids, merges = word_merges(words)
    if len(ids) > vocabulary or length < 7 or size < 8:  # noqa: PLR2004 (five words and two markers; quarters of 4)
        raise ValueError(f"data=sample needs {len(ids)} ids, 7 tokens and latents of 8, not {vocabulary, length, size}")
    tokenizer = ClipTokenizer(ids, merges, length=length)
    return (
        FigureSample("train", size=size, tokenizer=tokenizer),
        FigureSample("evaluation", size=size, tokenizer=tokenizer),
    )


def _painted(kind: tuple[str, str, str], size: int, random: np.random.Generator) -> Tensor:
    """A latent (4, size, size): even ground of chance brightness, and the figure in its quarter."""
    colour, figure, place = kind
    latent = torch.full((4, size, size), float(random.uniform(-0.3, 0.3)))
    edge = size // 2 - 1
    top, left = (int(random.integers(2)) + offset for offset in _corner(place, size))
    brightness = float(random.uniform(0.8, 1.2))
    paint = brightness * torch.tensor(COLOURS[colour])[:, None, None]
    latent[:, top : top + edge, left : left + edge] += paint * _mask(figure, edge)
    return latent


def _corner(place: str, size: int) -> tuple[int, int]:
    side, height = place.split()
    return size // 2 * (height == "below"), size // 2 * (side == "right")


def _mask(figure: str, edge: int) -> Tensor:
    mask = torch.ones(edge, edge)
    thick = max(1, edge // 3)
    inner = slice(thick, edge - thick)
    if figure == "frame":
        mask[inner, inner] = 0
    if figure == "cross":
        corners = torch.ones(edge, dtype=torch.bool)
        corners[inner] = False
        mask[corners[:, None] & corners[None, :]] = 0
    return mask

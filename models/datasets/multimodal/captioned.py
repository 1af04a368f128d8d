"""Images with captions as diffusion models see them: the autoencoder's moments, and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.datasets.base import Batch

STEPS_SHOWN = 10
"""Timesteps, evenly over all, that evaluation takes in turn."""


class CaptionedLatent(NamedTuple):
    """One image."""

    moments: Tensor
    """float32 (8, size, size): four means, and four logarithms of variances, of the latent before its scaling."""
    tokens: Tensor
    """int64 (length,)."""
    timestep: int | None = None
    """Evaluation's; training draws one in each step."""
    draws: Tensor | None = None
    """Evaluation's, normal (2, 4, size, size): for the latent from its moments, and the noise that is added."""


def captioned_batch(examples: Sequence[CaptionedLatent]) -> Batch:
    """`moments` and `tokens`, and of evaluation's examples `timestep`, `sampling` and `noise`."""
    batch: Batch = {
        "moments": torch.stack([example.moments for example in examples]),
        "tokens": torch.stack([example.tokens for example in examples]),
    }
    draws = [example.draws for example in examples if example.draws is not None]
    if draws:
        batch["timestep"] = torch.tensor([example.timestep for example in examples])
        batch["sampling"], batch["noise"] = torch.stack(draws, dim=1)
    return batch


class FixedNoise(Dataset[CaptionedLatent]):
    """Examples that carry their own timestep and noise, so that a loss over them is the same in every run.

    Both depend on an example's place alone: neither batches nor ranks change them.
    """

    def __init__(self, examples: Dataset[CaptionedLatent], *, timesteps: int) -> None:
        self.examples, self.timesteps = examples, timesteps

    def __len__(self) -> int:
        return len(self.examples)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> CaptionedLatent:
        example = self.examples[index]
        channels, *size = example.moments.shape
        draws = torch.randn(2, channels // 2, *size, generator=torch.Generator().manual_seed(index))
        timestep = (2 * (index % STEPS_SHOWN) + 1) * self.timesteps // (2 * STEPS_SHOWN)
        return example._replace(timestep=timestep, draws=draws)

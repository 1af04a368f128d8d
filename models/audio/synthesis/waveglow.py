"""WaveGlow: speech from mel spectrograms. FlagPerf training/WaveGlow (arXiv 1811.00002, LJSpeech).

A sample is an audio sample. The loss is the published one: the negative log-likelihood of the segments under Gaussian
noise of deviation `SIGMA`, per audio sample and without its constant log(2 pi) / 2.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.audio.synthesis.waveglow_network import WaveGlow, WaveGlowArchitecture
from models.datasets.audio.mels import HOP
from models.datasets.audio.wave_segments import LJSpeechWaves, SpeechSegment, spoken_segments
from models.datasets.base import Batch, Counts, Datasets
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.metrics import Mean
from models.recipe import Recipe
from models.trainable import Trainable

SIGMA = 1.0


class WaveGlowTrainable(Trainable):
    """Segments of speech, made likely.

    A batch holds `audio` (B, N) float32 within -1 and 1, and `mels` (B, M, 1 + N // 256) float32.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.config = WaveGlowArchitecture(**recipe.architecture)
        self.network = WaveGlow(self.config)
        self.metrics = {"validation_loss": Mean()}

    def loss(self, batch: Batch) -> Tensor:
        """Negative log-likelihood per audio sample."""
        noise = self.network(batch["audio"], batch["mels"])
        energy = noise.values.float().square().sum() / (2 * SIGMA**2)
        loss: Tensor = (energy - noise.log_determinant) / noise.values.numel()
        return loss

    def evaluate(self, batch: Batch) -> None:
        """Add the batch's loss; all segments are equally long, so each weighs the same."""
        self.metrics["validation_loss"].update(self.loss(batch), len(batch["audio"]))

    def datasets(self, spec: DataSpec) -> Datasets:
        """LJSpeech's recordings under `spec.root`, or synthesised speech.

        Raises:
            DataError: a file list is missing or malformed, names files that are not there, or `spec.root` is not given.
        """
        length, mels = self.config.segment_length, self.config.mels
        if spec.name != "dataset":
            return spoken_segments(symbols_per_clip=self.config.symbols_per_clip, length=length, mels=mels)
        root = dataset_root(spec, expected=LJSpeechWaves.expected, source=LJSpeechWaves.source)
        train, evaluation = (LJSpeechWaves(root, split, length=length, mels=mels) for split in ("train", "val"))
        return Datasets(train, evaluation)

    def collate(self, examples: list[Any]) -> Batch:
        """Join segments, which are all of one length."""
        segments: list[SpeechSegment] = examples
        return {
            "audio": torch.stack([segment.audio for segment in segments]),
            "mels": torch.stack([segment.mel for segment in segments]),
        }

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Noise as loud as speech, and mels spread like real ones (mean -5, deviation 2)."""
        samples = self.config.segment_length
        return {
            "audio": (torch.randn(batch_size, samples) * 0.1).clamp(-1, 1),
            "mels": torch.randn(batch_size, self.config.mels, 1 + samples // HOP) * 2 - 5,
        }

    def count(self, batch: Batch) -> Counts:
        """Audio samples, those of padding included, as published."""
        return Counts(samples=batch["audio"].numel())

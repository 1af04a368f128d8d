"""Stable Diffusion v2, text to image: the UNet from random weights, over latents. MLPerf Training v3.1 to v5.0."""

from __future__ import annotations

import torch
from pydantic import TypeAdapter
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.utils.data import Dataset

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.multimodal.captioned import CaptionedLatent, FixedNoise, captioned_batch
from models.datasets.multimodal.figures import figure_datasets
from models.datasets.multimodal.laion_moments import LAYOUT, laion_datasets
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.metrics import Mean
from models.multimodal.open_clip import initial_text_encoder
from models.multimodal.stable_diffusion_network import (
    LATENT_CHANNELS,
    StableDiffusionArchitecture,
    StableDiffusionNetwork,
)
from models.recipe import Recipe
from models.trainable import Trainable
from models.weights import InitialWeights

LOG_VARIANCES = (-30.0, 20.0)
"""Between which the autoencoder's logarithms of variances are kept."""


class StableDiffusion(Trainable):
    """A text encoder, frozen, and a UNet; the unit is the image, of which only the latent is seen.

    The autoencoder's moments of each image come with the data: it is not part of a training step, as in MLPerf.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(StableDiffusionArchitecture).validate_python(recipe.architecture)
        self.network = StableDiffusionNetwork(self.sizes)
        self.metrics = {"validation_loss": Mean()}

    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error of v at a random timestep of each image."""
        moments = batch["moments"]
        timesteps = torch.randint(self.sizes.timesteps, moments.shape[:1], device=moments.device)
        shape = (2, len(moments), LATENT_CHANNELS, *moments.shape[2:])
        sampling, noise = torch.randn(shape, device=moments.device, dtype=torch.float32)
        return self.errors(batch, timesteps, sampling, noise).mean()

    def evaluate(self, batch: Batch) -> None:
        """The same error at each image's own timestep and noise, which are always the same."""
        errors = self.errors(batch, batch["timestep"], batch["sampling"], batch["noise"])
        self.metrics["validation_loss"].update(errors)

    def errors(self, batch: Batch, timesteps: Tensor, sampling: Tensor, noise: Tensor) -> Tensor:
        """Mean squared error of each image's v, float32 (batch,); v is Salimans and Ho's (arXiv:2202.00512).

        Args:
            batch: `moments` (batch, 8, size, size), `tokens` (batch, length).
            timesteps: (batch,), integers.
            sampling: (batch, 4, size, size), normal: draws the latent from its moments.
            noise: as `sampling`: what is added to the latent.
        """
        mean, log_variance = batch["moments"].float().chunk(2, dim=1)
        deviation = (0.5 * log_variance.clamp(*LOG_VARIANCES)).exp()
        latent = self.sizes.latent_scale * (mean + deviation * sampling.float())
        kept = self.kept_variance(timesteps.device)[timesteps][:, None, None, None]
        signal, spread = kept.sqrt(), (1 - kept).sqrt()
        noise = noise.float()
        predicted = self.network(signal * latent + spread * noise, timesteps, batch["tokens"]).float()
        return mse_loss(predicted, signal * noise - spread * latent, reduction="none").mean(dim=(1, 2, 3))

    def kept_variance(self, device: torch.device) -> Tensor:
        """The latent's share of the variance after each timestep, float32 (timesteps,).

        Made anew in every step, a few small kernels: as a buffer, a precision of narrow weights would round it.
        """
        first, last = self.sizes.first_beta**0.5, self.sizes.last_beta**0.5
        line = torch.linspace(first, last, self.sizes.timesteps, device=device, dtype=torch.float32)
        return (1 - line**2).cumprod(dim=0)

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """The text encoder alone, as MLPerf starts: out of `512-base-ema.ckpt`, OpenCLIP's or transformers' file."""
        return initial_text_encoder(weights, layers=self.sizes.text.layers)

    def datasets(self, spec: DataSpec) -> Datasets:
        """Coloured figures (`sample`), or MLPerf's subset of LAION-400M as moments (`dataset`)."""
        text, size = self.sizes.text, self.sizes.latent_size
        train: Dataset[CaptionedLatent]
        evaluation: Dataset[CaptionedLatent]
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=self.recipe.data_source)
            train, evaluation = laion_datasets(
                root, size=size, length=text.length, vocabulary=text.vocabulary, source=self.recipe.data_source
            )
        else:
            train, evaluation = figure_datasets(size=size, length=text.length, vocabulary=text.vocabulary)
        return Datasets(train, FixedNoise(evaluation, timesteps=self.sizes.timesteps))

    def collate(self, examples: list[CaptionedLatent]) -> Batch:
        """`moments` float32 (batch, 8, size, size), `tokens` int64 (batch, length); evaluation brings its noise."""
        return captioned_batch(examples)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Normal means of variance as the latents', narrow deviations, random tokens."""
        size, text = self.sizes.latent_size, self.sizes.text
        mean = torch.randn(batch_size, LATENT_CHANNELS, size, size) / self.sizes.latent_scale
        return {
            "moments": torch.cat([mean, torch.full_like(mean, -10.0)], dim=1),
            "tokens": torch.randint(text.vocabulary, (batch_size, text.length)),
        }

    def count(self, batch: Batch) -> Counts:
        """Images of the batch."""
        return Counts(samples=len(batch["tokens"]))

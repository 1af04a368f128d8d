"""Stable Diffusion v1's autoencoder, a model for each half: ByteMLPerf vae-encoder- and vae-decoder-onnx-fp32."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from models.datasets.base import Batch
from models.multimodal.latent_diffusion.architecture import (
    IMAGE_CHANNELS,
    VaeArchitecture,
    VaeDecoderNetwork,
    VaeEncoderNetwork,
)
from models.multimodal.latent_diffusion.checkpoints import part_of
from models.multimodal.latent_diffusion.part import DiffusionPart, sizes_of
from models.multimodal.stable_diffusion_network import LATENT_CHANNELS
from models.recipe import Recipe
from models.weights import InitialWeights

LATENT_DEVIATION = 1 / 0.18215
"""Of a latent before its scaling."""


class SdVaeEncoder(DiffusionPart):
    """From an image to its latent's moments; to draw the latent from them is left out, for it is random.

    The unit is the image.
    """

    input_names: ClassVar[tuple[str, ...]] = ("sample",)
    output_names: ClassVar[tuple[str, ...]] = ("moments",)

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.sizes = sizes_of(recipe, VaeArchitecture)
        self.network = VaeEncoderNetwork(self.sizes)

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """Of a pipeline's folder, or of its `vae`; the other half is left out."""
        return InitialWeights(half_of(weights, "encoder.", "quant_conv."))

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Pixels evenly between -1 and 1."""
        edge = self.sizes.image_size
        return {"sample": 2 * torch.rand(batch_size, IMAGE_CHANNELS, edge, edge) - 1}


class SdVaeDecoder(DiffusionPart):
    """From a latent to its image; the unit is the image."""

    input_names: ClassVar[tuple[str, ...]] = ("latent_sample",)
    output_names: ClassVar[tuple[str, ...]] = ("sample",)

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.sizes = sizes_of(recipe, VaeArchitecture)
        self.network = VaeDecoderNetwork(self.sizes)

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """Of a pipeline's folder, or of its `vae`; the other half is left out."""
        return InitialWeights(half_of(weights, "decoder.", "post_quant_conv."))

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Normal latents of the variance that they have before their scaling."""
        size = self.sizes.latent_size
        return {"latent_sample": LATENT_DEVIATION * torch.randn(batch_size, LATENT_CHANNELS, size, size)}


def half_of(weights: dict[str, Tensor], *begins: str) -> dict[str, Tensor]:
    """The tensors of one half of the autoencoder."""
    return {name: one for name, one in part_of(weights, "vae").items() if name.startswith(begins)}

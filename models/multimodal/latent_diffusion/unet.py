"""Stable Diffusion v1's UNet, one look at a noisy latent: ByteMLPerf unet-onnx-fp32."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from models.datasets.base import Batch
from models.inferable import Tensors
from models.multimodal.latent_diffusion.architecture import UnetArchitecture, unet_of
from models.multimodal.latent_diffusion.checkpoints import part_of
from models.multimodal.latent_diffusion.part import DiffusionPart, sizes_of
from models.multimodal.stable_diffusion_network import LATENT_CHANNELS
from models.recipe import Recipe
from models.weights import InitialWeights

TIMESTEPS = 1000


class SdUnet(DiffusionPart):
    """From a noisy latent, its timestep and the text's states to the noise; the unit is the latent."""

    input_names: ClassVar[tuple[str, ...]] = ("sample", "timestep", "encoder_hidden_states")
    output_names: ClassVar[tuple[str, ...]] = ("out_sample",)

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.sizes = sizes_of(recipe, UnetArchitecture)
        self.network = unet_of(self.sizes)

    def served(self) -> nn.Module:
        """Latents (batch, 4, size, size), int64 (batch,) and states (batch, length, hidden) to as many latents."""
        return ServedUnet(self.network)

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """Of a pipeline's folder, or of its `unet`."""
        return InitialWeights(part_of(weights, "unet"))

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Normal latents, as noisy ones are; any timestep; normal states, as the encoder's last norm leaves them."""
        size = self.sizes.latent_size
        return {
            "sample": torch.randn(batch_size, LATENT_CHANNELS, size, size),
            "timestep": torch.randint(TIMESTEPS, (batch_size,)),
            "encoder_hidden_states": torch.randn(batch_size, self.sizes.text_length, self.sizes.text_hidden),
        }


class ServedUnet(nn.Module):
    """Diffusers' UNet with plain tensors."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> Tensors:
        """The noise in each latent."""
        return (self.network(sample, timestep, encoder_hidden_states, return_dict=False)[0],)

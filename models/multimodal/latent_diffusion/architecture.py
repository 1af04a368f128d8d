"""Sizes of Stable Diffusion v1 (Rombach et al., arXiv:2112.10752), and its networks, which are diffusers'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from models.multimodal.stable_diffusion_network import LATENT_CHANNELS, TextArchitecture, text_encoder
from models.training import STRICT

IMAGE_CHANNELS = 3


@dataclass(kw_only=True, slots=True)
class UnetArchitecture:
    """Sizes of the network that finds the noise in a latent."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    latent_size: int
    """Edge of a latent."""
    channels: tuple[int, ...]
    """Of each level, from the finest; all but the coarsest attend to the text."""
    heads: int
    """Of every level's attention."""
    blocks: int
    """ResNet blocks of a level."""
    groups: int
    """Of the group norms."""
    text_hidden: int
    text_length: int
    """Width and number of the text's states."""


@dataclass(kw_only=True, slots=True)
class VaeArchitecture:
    """Sizes of the autoencoder; an image's edge is that of its latent doubled once for each level but the first."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    latent_size: int
    channels: tuple[int, ...]
    blocks: int
    groups: int

    @property
    def image_size(self) -> int:
        """Edge of an image, in pixels."""
        return self.latent_size << (len(self.channels) - 1)


@dataclass(kw_only=True, slots=True)
class TextToImageArchitecture:
    """All parts, and how they are put to use."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    text: TextArchitecture
    unet: UnetArchitecture
    vae: VaeArchitecture
    latent_scale: float
    """What latents are multiplied with, to be of variance 1."""
    sampler: Literal["ddim", "plms"]
    steps: int
    """Denoising steps of an image; PLMS looks at the UNet once more than that."""
    guidance: float
    """Factor of what the text changes in the UNet's answer (Ho and Salimans, arXiv:2207.12598)."""
    timesteps: int
    first_beta: float
    last_beta: float
    """Variance of the noise that the first and the last timestep add; the square root goes in a line between them."""

    def __post_init__(self) -> None:
        if self.unet.latent_size != self.vae.latent_size:
            raise ValueError(f"latents of {self.unet.latent_size} and {self.vae.latent_size} do not fit together")
        if (self.unet.text_hidden, self.unet.text_length) != (self.text.hidden, self.text.length):
            raise ValueError("unet.text_hidden and unet.text_length must be the text encoder's hidden and length")
        if not 2 <= self.steps <= self.timesteps:  # noqa: PLR2004 (a first and a last one)
            raise ValueError(f"steps={self.steps} must be at least 2 and at most timesteps={self.timesteps}")


def openai_text_encoder(sizes: TextArchitecture) -> nn.Module:
    """The text half of OpenAI's CLIP, without its projection."""
    return text_encoder(sizes, activation="quick_gelu")


def unet_of(sizes: UnetArchitecture) -> nn.Module:
    """The UNet that predicts the noise."""
    from diffusers import UNet2DConditionModel

    attending = len(sizes.channels) - 1
    unet: nn.Module = UNet2DConditionModel(
        sample_size=sizes.latent_size,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=sizes.channels,
        layers_per_block=sizes.blocks,
        down_block_types=("CrossAttnDownBlock2D",) * attending + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * attending,
        attention_head_dim=sizes.heads,  # diffusers' name for how many there are
        cross_attention_dim=sizes.text_hidden,
        norm_num_groups=sizes.groups,
    )
    return unet


def autoencoder_of(sizes: VaeArchitecture) -> nn.Module:
    """Encoder and decoder, each with its 1 x 1 convolution."""
    from diffusers import AutoencoderKL

    levels = len(sizes.channels)
    autoencoder: nn.Module = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=sizes.channels,
        layers_per_block=sizes.blocks,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=sizes.groups,
        sample_size=sizes.image_size,
    )
    return autoencoder


class VaeEncoderNetwork(nn.Module):
    """The half that makes latents; tensors have the whole autoencoder's names."""

    def __init__(self, sizes: VaeArchitecture) -> None:
        super().__init__()
        whole: Any = autoencoder_of(sizes)
        self.encoder, self.quant_conv = whole.encoder, whole.quant_conv

    def forward(self, image: Tensor) -> Tensor:
        """Means and logarithms of variances (batch, 8, size, size) of images (batch, 3, pixels, pixels) in -1 to 1."""
        moments: Tensor = self.quant_conv(self.encoder(image))
        return moments


class VaeDecoderNetwork(nn.Module):
    """The half that makes images; tensors have the whole autoencoder's names."""

    def __init__(self, sizes: VaeArchitecture) -> None:
        super().__init__()
        whole: Any = autoencoder_of(sizes)
        self.decoder, self.post_quant_conv = whole.decoder, whole.post_quant_conv

    def forward(self, latent: Tensor) -> Tensor:
        """Images (batch, 3, pixels, pixels), about -1 to 1, of latents (batch, 4, size, size) before their scaling."""
        image: Tensor = self.decoder(self.post_quant_conv(latent))
        return image

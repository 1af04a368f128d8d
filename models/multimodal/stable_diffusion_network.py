"""Stable Diffusion v2's text encoder and UNet as MLPerf trains them; the networks are diffusers' and transformers'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.language.decoders.attention import CAUSAL
from models.training import STRICT

LATENT_CHANNELS = 4
TRANSFORMER = "attentions"
"""In the names of the UNet's cross-attention blocks."""


@dataclass(kw_only=True, slots=True)
class TextArchitecture:
    """Sizes of CLIP's text encoder (Radford et al. 2021); up to the layer whose output is used."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    vocabulary: int
    length: int
    """Tokens of a caption, the markers of its beginning and end and the padding included."""
    hidden: int
    layers: int
    heads: int
    intermediate: int


@dataclass(kw_only=True, slots=True)
class StableDiffusionArchitecture:
    """Sizes of a latent diffusion model (Rombach et al., arXiv:2112.10752) and of its noise."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    latent_size: int
    """Edge of a latent; an image's is 8 times as long."""
    channels: tuple[int, ...]
    """Of each level of the UNet, from the finest; all but the coarsest attend to the text."""
    heads: tuple[int, ...]
    """Of each level's attention."""
    blocks: int
    """ResNet blocks of a level."""
    groups: int
    """Of the group norms before convolutions; those before attention have `attention_groups`."""
    attention_groups: int
    text: TextArchitecture
    latent_scale: float
    """What latents are multiplied with, to be of variance 1."""
    timesteps: int
    first_beta: float
    last_beta: float
    """Variance of the noise that the first and the last timestep add; the square root goes in a line between them."""


class StableDiffusionNetwork(nn.Module):
    """A frozen text encoder, and the UNet that removes noise from latents as the text says."""

    def __init__(self, sizes: StableDiffusionArchitecture) -> None:
        super().__init__()
        self.text_encoder = text_encoder(sizes.text).requires_grad_(False)
        self.unet = _unet(sizes)

    def forward(self, noisy: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        """What the UNet makes of noisy latents, of their shape.

        Args:
            noisy: (batch, 4, size, size).
            timesteps: (batch,), integers.
            tokens: (batch, length), integers.
        """
        with torch.no_grad():
            text: Tensor = self.text_encoder(input_ids=tokens).last_hidden_state
        noisy = noisy.to(next(self.unet.parameters()).dtype)
        predicted: Tensor = self.unet(noisy, timesteps, text, return_dict=False)[0]
        return predicted


def text_encoder(sizes: TextArchitecture, *, activation: str = "gelu") -> nn.Module:
    """CLIP's text encoder, its final norm after the last of `layers`; OpenAI's activation is `quick_gelu`."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=sizes.vocabulary,
        max_position_embeddings=sizes.length,
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.intermediate,
        hidden_act=activation,
        bos_token_id=sizes.vocabulary - 2,
        eos_token_id=sizes.vocabulary - 1,
        attn_implementation=CAUSAL,
    )
    encoder: nn.Module = CLIPTextModel(config)
    return encoder


def _unet(sizes: StableDiffusionArchitecture) -> nn.Module:
    """Diffusers' UNet with the group norms and the initial values of MLPerf's reference.

    Each block adds nothing at first, and the prediction is 0: the last layer of every residual branch is.
    """
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
        cross_attention_dim=sizes.text.hidden,
        use_linear_projection=True,
        norm_num_groups=sizes.attention_groups,
    )
    for name, module in unet.named_modules():
        if isinstance(module, nn.GroupNorm) and TRANSFORMER not in name:
            module.num_groups = sizes.groups
        if name.endswith((".conv2", ".proj_out")) or name == "conv_out":
            for parameter in module.parameters():
                nn.init.zeros_(parameter)
    return unet

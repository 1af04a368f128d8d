"""Stable Diffusion v1 from a caption to an image in one network: text encoder, every denoising step, decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.inferable import Tensors
from models.multimodal.latent_diffusion.architecture import (
    TextToImageArchitecture,
    VaeDecoderNetwork,
    openai_text_encoder,
    unet_of,
)
from models.multimodal.latent_diffusion.samplers import SAMPLERS, NoiseSchedule


class TextToImageNetwork(nn.Module):
    """The parts, under the names of the published pipeline's folders."""

    def __init__(self, sizes: TextToImageArchitecture) -> None:
        super().__init__()
        self.text_encoder = openai_text_encoder(sizes.text)
        self.unet = unet_of(sizes.unet)
        self.vae = VaeDecoderNetwork(sizes.vae)


class ServedTextToImage(nn.Module):
    """The whole loop; an engine that exports it gets every step written out, one after another."""

    empty: Tensor

    def __init__(self, parts: TextToImageNetwork, sizes: TextToImageArchitecture) -> None:
        super().__init__()
        self.parts, self.sizes = parts, sizes
        self.schedule = NoiseSchedule(
            timesteps=sizes.timesteps, first_beta=sizes.first_beta, last_beta=sizes.last_beta, steps=sizes.steps
        )
        # Of the caption without words: begin marker, then end markers.
        marks = [sizes.text.vocabulary - 2] + [sizes.text.vocabulary - 1] * (sizes.text.length - 1)
        self.register_buffer("empty", torch.tensor([marks]), persistent=False)

    def forward(self, input_ids: Tensor, noise: Tensor) -> Tensors:
        """Images (batch, 3, pixels, pixels), about -1 to 1, of captions (batch, length) and normal latents.

        Each step looks at every latent twice, without the caption and with it.
        """
        rows = len(noise)
        captions = torch.cat([self.empty.expand(rows, -1), input_ids])
        text = self.parts.text_encoder(input_ids=captions).last_hidden_state

        def predict(latents: Tensor, time: int) -> Tensor:
            times = torch.full((2 * rows,), time, device=latents.device)
            both = self.parts.unet(torch.cat([latents, latents]), times, text, return_dict=False)[0]
            without, given = both.chunk(2)
            guided: Tensor = without + self.sizes.guidance * (given - without)
            return guided

        latents = SAMPLERS[self.sizes.sampler](predict, noise, self.schedule)
        return (self.parts.vae(latents / self.sizes.latent_scale),)

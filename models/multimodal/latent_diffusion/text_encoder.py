"""Stable Diffusion v1's text encoder, OpenAI's CLIP ViT-L/14: ByteMLPerf clip-onnx-fp32."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from models.datasets.base import Batch
from models.datasets.multimodal.clip_tokens import random_captions
from models.inferable import Tensors
from models.multimodal.latent_diffusion.architecture import openai_text_encoder
from models.multimodal.latent_diffusion.checkpoints import part_of
from models.multimodal.latent_diffusion.part import DiffusionPart, sizes_of
from models.multimodal.stable_diffusion_network import TextArchitecture
from models.recipe import Recipe
from models.weights import InitialWeights


class SdTextEncoder(DiffusionPart):
    """From a caption's tokens to the states that the UNet attends to; the unit is the caption."""

    input_names: ClassVar[tuple[str, ...]] = ("input_ids",)
    output_names: ClassVar[tuple[str, ...]] = ("last_hidden_state", "pooler_output")

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.sizes = sizes_of(recipe, TextArchitecture)
        self.network = openai_text_encoder(self.sizes)

    def served(self) -> nn.Module:
        """Tokens int64 (batch, length) to states (batch, length, hidden) and that of the end marker (batch, hidden)."""
        return ServedTextEncoder(self.network)

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """Of a pipeline's folder, or of its `text_encoder`."""
        return InitialWeights(part_of(weights, "text_encoder"))

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Captions of random words."""
        ids = random_captions(batch_size, length=self.sizes.length, vocabulary=self.sizes.vocabulary)
        return {"input_ids": ids}


class ServedTextEncoder(nn.Module):
    """Transformers' text encoder with plain tensors."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor) -> Tensors:
        """All states, and that of the end marker."""
        found = self.network(input_ids=input_ids)
        return found.last_hidden_state, found.pooler_output

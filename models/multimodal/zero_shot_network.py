"""A CLIP that names what images show by comparing them with fixed prompts; the network is transformers'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from models.inferable import Tensors
from models.language.decoders.attention import CAUSAL
from models.multimodal.stable_diffusion_network import TextArchitecture
from models.training import STRICT


@dataclass(kw_only=True, slots=True)
class ClipArchitecture:
    """Sizes of OpenAI's CLIP with a vision transformer (Radford et al. 2021)."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    text: TextArchitecture
    image_size: int
    patch: int
    hidden: int
    layers: int
    heads: int
    intermediate: int
    """Of the vision transformer."""
    projection: int
    classes: int
    """Prompts that every image is compared with."""


class ServedZeroShot(nn.Module):
    """A CLIP and the prompts that it compares images with."""

    prompts: Tensor

    def __init__(self, network: nn.Module, prompts: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("prompts", prompts)

    def forward(self, image: Tensor) -> Tensors:
        """Scaled cosines (batch, classes)."""
        return (self.network(input_ids=self.prompts, pixel_values=image).logits_per_image,)


def clip_of(sizes: ClipArchitecture) -> nn.Module:
    """Transformers' CLIP."""
    from transformers import CLIPConfig, CLIPModel

    text = {
        "vocab_size": sizes.text.vocabulary,
        "max_position_embeddings": sizes.text.length,
        "hidden_size": sizes.text.hidden,
        "num_hidden_layers": sizes.text.layers,
        "num_attention_heads": sizes.text.heads,
        "intermediate_size": sizes.text.intermediate,
        "bos_token_id": sizes.text.vocabulary - 2,
        "eos_token_id": sizes.text.vocabulary - 1,
    }
    vision = {
        "image_size": sizes.image_size,
        "patch_size": sizes.patch,
        "hidden_size": sizes.hidden,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.intermediate,
    }
    attention = {"text_config": CAUSAL, "vision_config": "sdpa"}
    config = CLIPConfig(
        text_config=text, vision_config=vision, projection_dim=sizes.projection, attn_implementation=attention
    )
    clip: nn.Module = CLIPModel(config)
    return clip

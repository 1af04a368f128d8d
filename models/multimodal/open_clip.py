"""The text encoder of other programs' checkpoints under transformers' names."""

from __future__ import annotations

import re

from torch import Tensor

from models.weights import InitialWeights

PREFIXES = ("cond_stage_model.model.", "text_model.", "")
"""Before a text encoder's names: in Stability AI's checkpoint, transformers' own and OpenCLIP's."""
RENAMED = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
"""OpenCLIP's names outside the layers."""
IN_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
OPEN_CLIP_LAYER = re.compile(r"transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)")
OWN = re.compile(r"(embeddings\..+\.weight|encoder\.layers\.\d+\..+|final_layer_norm\..+)")
"""Transformers' names; not the numbers of places, which older versions kept."""


def initial_text_encoder(weights: dict[str, Tensor], *, layers: int) -> InitialWeights:
    """What a checkpoint has of the text encoder; the UNet stays random, whatever the file has of one.

    Args:
        weights: of Stability AI's `512-base-ema`, of OpenCLIP's ViT-H/14, or of transformers' text encoder.
        layers: how many are used; OpenCLIP's last is not.
    """
    prefix = next(one for one in PREFIXES if any(name.startswith(one) for name in weights))
    tensors: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name.startswith(prefix):
            tensors |= _translated(name.removeprefix(prefix), tensor, layers)
    return InitialWeights({f"text_encoder.{name}": one for name, one in tensors.items()}, may_lack=("unet.*",))


def _translated(name: str, tensor: Tensor, layers: int) -> dict[str, Tensor]:
    """A tensor by its new name, or by three where it holds three; nothing for what the encoder has no use for."""
    if OWN.fullmatch(name):
        return {name: tensor}
    if name in RENAMED:
        return {RENAMED[name]: tensor}
    found = OPEN_CLIP_LAYER.fullmatch(name)
    if found is None or int(found[1]) >= layers:
        return {}
    number, part, kind = found.groups()
    layer = f"encoder.layers.{number}"
    if part == "attn.in_proj":
        projections = zip("qkv", tensor.chunk(3), strict=True)
        return {f"{layer}.self_attn.{letter}_proj.{kind}": one for letter, one in projections}
    return {f"{layer}.{IN_LAYER[part]}.{kind}": tensor} if part in IN_LAYER else {}

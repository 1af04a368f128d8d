"""Stable Diffusion v1's published weights under the names of today's diffusers and transformers."""

from __future__ import annotations

from torch import Tensor

OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""The autoencoder's attention before diffusers 0.17, as CompVis' files have it."""
NOT_WEIGHTS = ("position_ids",)
"""Numbers of places that older versions of transformers kept among the weights."""


def part_of(weights: dict[str, Tensor], folder: str) -> dict[str, Tensor]:
    """The tensors of one part.

    Args:
        weights: of a whole pipeline, `<folder>.<name>`, or of the part's own file.
        folder: `text_encoder`, `unet` or `vae`.
    """
    begin = f"{folder}."
    own = {name.removeprefix(begin): one for name, one in weights.items() if name.startswith(begin)} or weights
    return {_today(name): one for name, one in own.items() if not name.endswith(NOT_WEIGHTS)}


def _today(name: str) -> str:
    """A tensor's name as the libraries have it now."""
    name = name.removeprefix("text_model.")
    if ".attentions." not in name:
        return name
    *path, part, kind = name.split(".")
    return ".".join([*path, OLD_ATTENTION.get(part, part), kind])

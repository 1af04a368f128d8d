"""Conformer's encoder alone, served: ByteMLPerf's `conformer-encoder-onnx-fp32`, an ONNX file.

What goes in and comes out is published; its sizes, its kind of positions and what its three channels are, are not. The
sizes here are those of ESPnet's and WeNet's usual encoder; positions are added, as sines and cosines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import TypeAdapter
from torch import Tensor
from torch.utils.data import Dataset

from models.audio.recognition.conformer_network import FOLD, ConformerEncoder
from models.datasets.base import Batch, Counts
from models.datasets.spec import DataSpec
from models.inferable import Inferable, Tensors
from models.recipe import STRICT, Recipe

EXAMPLES = 64
"""Inputs of `data=sample`."""


@dataclass(kw_only=True, slots=True)
class ConformerArchitecture:
    """Sizes of a Conformer's encoder; see `ConformerEncoder`."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    channels: int
    height: int
    length: int
    width: int
    layers: int
    heads: int
    inner: int
    kernel: int

    def __post_init__(self) -> None:
        if self.height % FOLD or self.length % FOLD or self.kernel % 2 == 0:
            raise ValueError(f"model.architecture: height and length must be multiples of {FOLD}, kernel odd")


class PaddedNoise(Dataset[tuple[Tensor, Tensor]]):
    """Random inputs of random lengths, each from its own number; there is nothing to be recognised in them."""

    def __init__(self, sizes: ConformerArchitecture) -> None:
        self.sizes = sizes

    def __len__(self) -> int:
        return EXAMPLES

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Source and padding of one input; at least half of it is no padding."""
        sizes, draw = self.sizes, torch.Generator().manual_seed(index)
        source = torch.randn(sizes.channels, sizes.height, sizes.length, generator=draw)
        places = sizes.length // FOLD
        real = int(torch.randint(places // 2, places + 1, (), generator=draw))
        source[..., FOLD * real :] = 0
        return source, torch.arange(places) >= real


class Conformer(Inferable):
    """The encoder; its memory is a part of something larger, so that it has no accuracy."""

    input_names = ("src", "src_pad_mask")
    output_names = ("memory",)

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(ConformerArchitecture).validate_python(recipe.architecture)
        self.network = ConformerEncoder(**recipe.architecture)
        self.metrics = {}

    def inputs(self, batch: Batch) -> Tensors:
        """Source and padding."""
        return batch["src"], batch["src_pad_mask"]

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """Nothing: no answer is known."""

    def evaluation_data(self, spec: DataSpec) -> Dataset[Any]:
        """Noise with padding, to compare outputs on."""
        return PaddedNoise(self.sizes)

    def collate(self, examples: list[Any]) -> Batch:
        """`src` float32 (batch, channels, height, length), `src_pad_mask` bool (batch, length / 4)."""
        source, padding = (torch.stack(part) for part in zip(*examples, strict=True))
        return {"src": source, "src_pad_mask": padding}

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Noise of full length."""
        sizes = self.sizes
        return {
            "src": torch.randn(batch_size, sizes.channels, sizes.height, sizes.length),
            "src_pad_mask": torch.zeros(batch_size, sizes.length // FOLD, dtype=torch.bool),
        }

    def count(self, batch: Batch) -> Counts:
        """Inputs of the batch."""
        return Counts(samples=len(batch["src"]))

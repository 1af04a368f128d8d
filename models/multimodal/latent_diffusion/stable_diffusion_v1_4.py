"""Stable Diffusion v1.4, text to image, as one request: FlagPerf inference/stable_diffusion_v1_4."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from models.datasets.base import Batch, Counts, DataError
from models.datasets.multimodal.clip_tokens import random_captions, read_clip_tokenizer
from models.datasets.multimodal.prompts import LAYOUT, Prompt, Prompts, prompt_batch, read_captions
from models.datasets.reading import Reader
from models.datasets.requests import RandomRequests, joined
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.inferable import Inferable, Tensors
from models.metrics import Mean
from models.multimodal.clip_score import FOLDER, ClipJudge
from models.multimodal.latent_diffusion.architecture import TextToImageArchitecture
from models.multimodal.latent_diffusion.checkpoints import part_of
from models.multimodal.latent_diffusion.part import sizes_of
from models.multimodal.latent_diffusion.text_to_image import ServedTextToImage, TextToImageNetwork
from models.multimodal.latent_diffusion.vae import half_of
from models.multimodal.stable_diffusion_network import LATENT_CHANNELS
from models.recipe import Recipe
from models.weights import InitialWeights


class StableDiffusionV14(Inferable):
    """From tokens and noise to images; the unit is the image, of which each takes `architecture.steps` steps."""

    input_names: ClassVar[tuple[str, ...]] = ("input_ids", "noise")
    output_names: ClassVar[tuple[str, ...]] = ("image",)
    network: TextToImageNetwork

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes = sizes_of(recipe, TextToImageArchitecture)
        self.network: TextToImageNetwork = TextToImageNetwork(self.sizes)
        self.metrics = {"clip_score": Mean()}
        self.judge: ClipJudge | None = None

    def served(self) -> nn.Module:
        """All steps; see `ServedTextToImage.forward`."""
        return ServedTextToImage(self.network, self.sizes)

    def inputs(self, batch: Batch) -> Tensors:
        """Tokens and noise."""
        return batch["input_ids"], batch["noise"]

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """The judge's score of each image.

        Raises:
            DataError: the data brought no judge.
        """
        if self.judge is None:
            raise DataError("clip_score needs a CLIP that judges", where="data", expected=f"data=dataset with {LAYOUT}")
        self.metrics["clip_score"].update(self.judge(outputs[0].cpu(), batch["input_ids"]))

    def evaluation_data(self, spec: DataSpec) -> Dataset[Any]:
        """Captions and the CLIP that judges (`dataset`), or random requests (`sample`), which nothing judges."""
        if spec.name != "dataset":
            return RandomRequests(self.synthetic_batch)
        source, text = self.recipe.data_source, self.sizes.text
        root = dataset_root(spec, expected=LAYOUT, source=source)
        reader = Reader(expected=LAYOUT, source=source)
        captions = read_captions(root, reader)
        tokenizer = read_clip_tokenizer(root, reader, vocabulary=text.vocabulary, length=text.length, pad_with_end=True)
        self.judge = ClipJudge(root / FOLDER, reader, vocabulary=text.vocabulary)
        size = self.sizes.unet.latent_size
        return Prompts(captions, tokenizer, shape=(LATENT_CHANNELS, size, size))

    def collate(self, examples: list[Any]) -> Batch:
        """As `synthetic_batch`."""
        return prompt_batch(examples) if isinstance(examples[0], Prompt) else joined(examples)

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """Of the folder of `CompVis/stable-diffusion-v1-4`; the autoencoder's encoder is left out."""
        halves = {
            "text_encoder": part_of(weights, "text_encoder"),
            "unet": part_of(weights, "unet"),
            "vae": half_of(weights, "decoder.", "post_quant_conv."),
        }
        named = {f"{part}.{name}": one for part, tensors in halves.items() for name, one in tensors.items()}
        return InitialWeights(named)

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Captions of random words, normal noise."""
        text, size = self.sizes.text, self.sizes.unet.latent_size
        return {
            "input_ids": random_captions(batch_size, length=text.length, vocabulary=text.vocabulary),
            "noise": torch.randn(batch_size, LATENT_CHANNELS, size, size),
        }

    def count(self, batch: Batch) -> Counts:
        """Images of the batch."""
        return Counts(samples=len(batch["noise"]))

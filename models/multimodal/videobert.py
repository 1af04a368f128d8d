"""ByteMLPerf videobert-onnx-fp32: by its inputs and its data a CLIP that names CIFAR-100's classes.

Each request is images alone. The prompts, one for each class, are part of the network, whose text encoder runs over
them anew in every request, as in the published graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.utils.data import Dataset

from models.datasets.base import Batch, Counts, DataError
from models.datasets.multimodal.clip_images import clip_view
from models.datasets.multimodal.clip_tokens import random_captions, read_clip_tokenizer
from models.datasets.reading import Reader
from models.datasets.requests import RandomRequests, joined
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.datasets.vision.cifar100 import Cifar100, cifar100_folder, class_names
from models.datasets.vision.images import LabelledImage
from models.inferable import Inferable, Tensors
from models.metrics import Share
from models.multimodal.zero_shot_network import ClipArchitecture, ServedZeroShot, clip_of
from models.recipe import Recipe
from models.weights import InitialWeights

LAYOUT = (
    "cifar-100-binary/test.bin and fine_label_names.txt of CIFAR-100's binary version; and text.npy, the prompts' "
    "tokens (100, 77), or CLIP's vocab.json and merges.txt"
)
PROMPT = "a photo of a {}."
"""OpenAI's, where `text.npy` is not there."""


class VideoBert(Inferable):
    """From images to how well each fits each class's prompt; the unit is the image."""

    input_names: ClassVar[tuple[str, ...]] = ("image",)
    output_names: ClassVar[tuple[str, ...]] = ("logits_per_image",)
    prompts: Tensor

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe; the prompts are random until data brings its own.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown, missing or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.sizes = TypeAdapter(ClipArchitecture).validate_python(recipe.architecture)
        self.network = clip_of(self.sizes)
        self.metrics = {"top1": Share()}
        text = self.sizes.text
        random = random_captions(self.sizes.classes, length=text.length, vocabulary=text.vocabulary)
        self.register_buffer("prompts", random)
        self.named = False

    def served(self) -> nn.Module:
        """Images float32 (batch, 3, size, size) to logits (batch, classes)."""
        return ServedZeroShot(self.network, self.prompts)

    def inputs(self, batch: Batch) -> Tensors:
        """The images."""
        return (batch["image"],)

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """Share of images whose best prompt is their class's.

        Raises:
            DataError: the data brought no prompts.
        """
        if not self.named:
            raise DataError(
                "top1 needs prompts that name classes", where="data", expected=f"data=dataset with {LAYOUT}"
            )
        self.metrics["top1"].update(outputs[0].argmax(dim=1) == batch["label"])

    def evaluation_data(self, spec: DataSpec) -> Dataset[Any]:
        """CIFAR-100's test images, whose prompts the network has from here on; or random images (`sample`)."""
        if spec.name != "dataset":
            return RandomRequests(self.synthetic_batch)
        root, reader = self._opened(spec)
        folder = cifar100_folder(root, reader)
        self.prompts, self.named = self._prompts(root, folder, reader), True
        return Cifar100(folder / "test.bin", reader, view=clip_view(self.sizes.image_size))

    def calibration_data(self, spec: DataSpec) -> Dataset[Any] | None:
        """Training images, where `train.bin` is there."""
        if spec.name != "dataset":
            return None
        root, reader = self._opened(spec)
        path = cifar100_folder(root, reader) / "train.bin"
        return Cifar100(path, reader, view=clip_view(self.sizes.image_size)) if path.is_file() else None

    def collate(self, examples: list[Any]) -> Batch:
        """As `synthetic_batch`."""
        if not isinstance(examples[0], LabelledImage):
            return joined(examples)
        image = torch.stack([example.image for example in examples])
        return {"image": image, "label": torch.tensor([example.label for example in examples])}

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """Of `openai/clip-vit-base-patch32`; without the numbers of places, which older files hold."""
        return InitialWeights({name: one for name, one in weights.items() if not name.endswith("position_ids")})

    def synthetic_batch(self, batch_size: int) -> Batch:
        """`image`, normal as normalised photographs, float32 (batch, 3, size, size); `label` int64 (batch,)."""
        edge = self.sizes.image_size
        image, label = torch.randn(batch_size, 3, edge, edge), torch.randint(self.sizes.classes, (batch_size,))
        return {"image": image, "label": label}

    def count(self, batch: Batch) -> Counts:
        """Images of the batch."""
        return Counts(samples=len(batch["image"]))

    def _opened(self, spec: DataSpec) -> tuple[Path, Reader]:
        source = self.recipe.data_source
        return dataset_root(spec, expected=LAYOUT, source=source), Reader(expected=LAYOUT, source=source)

    def _prompts(self, root: Path, folder: Path, reader: Reader) -> Tensor:
        text, path = self.sizes.text, root / "text.npy"
        shape = (self.sizes.classes, text.length)
        if not path.is_file():
            tokenizer = read_clip_tokenizer(
                root, reader, vocabulary=text.vocabulary, length=text.length, pad_with_end=True
            )
            found = torch.stack([tokenizer(PROMPT.format(name)) for name in class_names(folder, reader)])
        else:
            with reader.reading(path, "Not an array of tokens"):
                array = np.load(path, allow_pickle=False)
                if array.dtype.kind not in "iu" or not ((array >= 0) & (array < text.vocabulary)).all():
                    raise ValueError(f"{array.dtype} values that are not ids below {text.vocabulary}")
                found = torch.from_numpy(array.astype(np.int64))
        if found.shape != shape:
            raise reader.error(f"Prompts {tuple(found.shape)}, not {shape}", path)
        return found

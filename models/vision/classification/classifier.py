"""What every image classifier shares: its data, its loss with mixing, top-1; a model adds its network and its views."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.datasets.vision.image_folder import LAYOUT, LabelledFolder, evaluation_folder, image_folders
from models.datasets.vision.image_list import LIST, ListedImages
from models.datasets.vision.images import DIGIT_CLASSES, DigitsOnPhotographs, LabelledImage
from models.datasets.vision.mixing import mix
from models.datasets.vision.views import Views, centre_crop, random_crop
from models.inferable import Inferable, Tensors
from models.metrics import Share
from models.recipe import Recipe
from models.trainable import Trainable
from models.training import Regularisation

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Classifier(Trainable, Inferable):
    """A network that names the class of an image; the unit is the image. It can be trained and served.

    Architecture fields: `image_size` (edge of the square that is trained on, in pixels), `evaluation_size` (the same in
    evaluation; default `image_size`), `classes`, and the network's own.
    """

    input_names: ClassVar[tuple[str, ...]] = ("image",)
    output_names: ClassVar[tuple[str, ...]] = ("logits",)
    regularisations: ClassVar[frozenset[str]] = frozenset({"label_smoothing", "mixup_alpha", "cutmix_alpha"})

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        architecture = recipe.architecture
        self.image_size, self.classes = int(architecture["image_size"]), int(architecture["classes"])
        self.evaluation_size = int(architecture.get("evaluation_size", self.image_size))
        self.memory_format = MEMORY_FORMATS[recipe.memory_format]
        self.network = self.build(architecture).to(memory_format=self.memory_format)
        self.metrics = {"top1": Share()}
        regularisation = recipe.train.regularisation if recipe.train else Regularisation()
        self.alphas = {"mixup_alpha": regularisation.mixup_alpha, "cutmix_alpha": regularisation.cutmix_alpha}
        self.mixes = any(self.alphas.values())

    @abstractmethod
    def build(self, architecture: dict[str, Any]) -> nn.Module:
        """The network with random weights: float32 [batch, 3, size, size] to [batch, classes], not normalised."""

    def views(self) -> Views:
        """How the real data's photographs are shown; torchvision's reference without further augmentation."""
        return Views(random_crop(self.image_size), centre_crop(self.evaluation_size))

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy of the batch, of mixed images in proportion to what they show; with label smoothing."""
        image, label = batch["image"], batch["label"]
        if not self.mixes:
            return self._cross_entropy(self._logits(image), label)
        mixed = mix(image, label, **self.alphas)
        logits = self._logits(mixed.image)
        first, second = (self._cross_entropy(logits, one) for one in (mixed.label, mixed.other))
        return mixed.share * first + (1 - mixed.share) * second

    def evaluate(self, batch: Batch) -> None:
        """Share of images whose highest output is their class."""
        self.score((self._logits(batch["image"]),), batch)

    def inputs(self, batch: Batch) -> Tensors:
        """The images."""
        return (batch["image"],)

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """As in training's evaluation."""
        (logits,) = outputs
        self.metrics["top1"].update(logits.argmax(dim=1) == batch["label"])

    def evaluation_data(self, spec: DataSpec) -> Dataset[LabelledImage]:
        """The held-out digits of the sample, or ImageNet's validation images; those of `train` need not be there.

        Where there is a `val_map.txt`, its images are read, otherwise the folders of `val`.
        """
        if spec.name != "dataset":
            return self.datasets(spec).evaluation
        source = self.recipe.data_source
        root = dataset_root(spec, expected=LAYOUT, source=source)
        of_root = ListedImages if (root / LIST).is_file() else evaluation_folder
        return of_root(root, view=self.views().evaluation, classes=self.classes, source=source)

    def calibration_data(self, spec: DataSpec) -> Dataset[LabelledImage] | None:
        """Training images, shown as in evaluation, where they are there."""
        if spec.name != "dataset":
            return DigitsOnPhotographs(image_size=self.evaluation_size, train=True)
        root = dataset_root(spec, expected=LAYOUT, source=self.recipe.data_source)
        folder = root / "train"
        if not folder.is_dir():
            return None
        return LabelledFolder(folder, view=self.views().evaluation, source=self.recipe.data_source)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Without mixing, which draws numbers and multiplies nothing that counts."""
        mixes, self.mixes = self.mixes, False
        try:
            yield
        finally:
            self.mixes = mixes

    def datasets(self, spec: DataSpec) -> Datasets:
        """Digits on photographs (`sample`) or folders of classes as ImageNet's (`dataset`).

        Raises:
            DataError: `spec.root` is not such a folder; see `image_folders`.
        """
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=self.recipe.data_source)
            return image_folders(root, views=self.views(), classes=self.classes, source=self.recipe.data_source)
        if self.classes < DIGIT_CLASSES:
            raise ValueError(f"data=sample has {DIGIT_CLASSES} classes; model.architecture.classes is {self.classes}")
        return Datasets(
            DigitsOnPhotographs(image_size=self.image_size, train=True),
            DigitsOnPhotographs(image_size=self.evaluation_size, train=False),
        )

    def collate(self, examples: list[LabelledImage]) -> Batch:
        """`image` float32 [batch, 3, size, size] in the recipe's memory format, `label` int64 [batch]."""
        image = self._laid_out(torch.stack([example.image for example in examples]))
        return {"image": image, "label": torch.tensor([example.label for example in examples])}

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Normally distributed pixels, uniform classes."""
        return self._random(batch_size, self.image_size)

    def begin_serving(self) -> None:
        """Random numbers for layers of zeros."""
        for layer in self.network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d) and not layer.weight.any():
                nn.init.trunc_normal_(layer.weight, std=0.02)

    def served_batch(self, batch_size: int) -> Batch:
        """The same at the size of evaluation."""
        return self._random(batch_size, self.evaluation_size)

    def count(self, batch: Batch) -> Counts:
        """Images of the batch."""
        return Counts(samples=len(batch["label"]))

    def _random(self, batch_size: int, size: int) -> Batch:
        image = self._laid_out(torch.randn(batch_size, 3, size, size))
        return {"image": image, "label": torch.randint(self.classes, (batch_size,))}

    def _logits(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(self._laid_out(image))
        return logits

    def _cross_entropy(self, logits: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(logits.float(), label, label_smoothing=self.recipe.training.regularisation.label_smoothing)

    def _laid_out(self, image: Tensor) -> Tensor:
        """`image` in the recipe's memory format; the same tensor where it already is, as batches are."""
        return image.contiguous(memory_format=self.memory_format)

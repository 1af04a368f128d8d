"""ResNet image classification (He et al., arXiv:1512.03385) in torchvision's form: FlagPerf training/resnet50."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchvision.models.resnet import Bottleneck, ResNet

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.datasets.vision.image_folder import LAYOUT, image_folders
from models.datasets.vision.images import DIGIT_CLASSES, DigitsOnPhotographs, LabelledImage
from models.metrics import Share
from models.recipe import Recipe
from models.trainable import Trainable

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class ResNet50(Trainable):
    """A network of bottleneck blocks that names the class of an image; the unit is the image.

    Architecture fields: `layers` (blocks per stage), `width_per_group` (channels of the first stage's 3x3
    convolutions), `image_size` (pixels), `classes`. Layers [3, 4, 6, 3] and width 64 are ResNet-50 v1.5.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        architecture = recipe.architecture
        self.image_size, self.classes = int(architecture["image_size"]), int(architecture["classes"])
        self.memory_format = MEMORY_FORMATS[recipe.memory_format]
        network = ResNet(
            Bottleneck,
            list(architecture["layers"]),
            num_classes=self.classes,
            width_per_group=int(architecture["width_per_group"]),
        )
        self.network = network.to(memory_format=self.memory_format)
        self.metrics = {"top1": Share()}

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy of the batch."""
        return cross_entropy(self.network(self._laid_out(batch["image"])), batch["label"])

    def evaluate(self, batch: Batch) -> None:
        """Share of images whose highest output is their class."""
        self.metrics["top1"].update(self.network(self._laid_out(batch["image"])).argmax(dim=1) == batch["label"])

    def datasets(self, spec: DataSpec) -> Datasets:
        """Digits on photographs (`sample`) or folders of classes as ImageNet's (`dataset`).

        Raises:
            DataError: `spec.root` is not such a folder; see `image_folders`.
        """
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=self.recipe.data_source)
            return image_folders(root, image_size=self.image_size, classes=self.classes, source=self.recipe.data_source)
        if self.classes < DIGIT_CLASSES:
            raise ValueError(f"data=sample has {DIGIT_CLASSES} classes; model.architecture.classes is {self.classes}")
        train, evaluation = (DigitsOnPhotographs(image_size=self.image_size, train=part) for part in (True, False))
        return Datasets(train, evaluation)

    def collate(self, examples: list[LabelledImage]) -> Batch:
        """`image` float32 [batch, 3, size, size] in the recipe's memory format, `label` int64 [batch]."""
        image = self._laid_out(torch.stack([example.image for example in examples]))
        return {"image": image, "label": torch.tensor([example.label for example in examples])}

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Normally distributed pixels, uniform classes."""
        image = self._laid_out(torch.randn(batch_size, 3, self.image_size, self.image_size))
        return {"image": image, "label": torch.randint(self.classes, (batch_size,))}

    def count(self, batch: Batch) -> Counts:
        """Images of the batch."""
        return Counts(samples=len(batch["label"]))

    def _laid_out(self, image: Tensor) -> Tensor:
        """`image` in the recipe's memory format; the same tensor where it already is, as batches are."""
        return image.contiguous(memory_format=self.memory_format)

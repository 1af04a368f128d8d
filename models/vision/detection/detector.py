"""What detectors share: COCO or scenes to train on, noise to measure with, exact mean average precision."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.datasets.vision.coco import LAYOUT, SOURCE, CocoInstances
from models.datasets.vision.scenes import DIGITS, DigitScenes
from models.trainable import Trainable
from models.vision.detection.architecture import DetectorArchitecture
from models.vision.detection.backbone import COUNTER, under_backbone
from models.weights import InitialWeights

TRAINING_SCENES, EVALUATION_SCENES = 8192, 512
SYNTHETIC_SEED = 20170901


class Detector(Trainable):
    """A network that finds boxes; quality is `box_map`, COCO's mAP@[.5:.95] as a fraction.

    A batch is `{"images": [float32 [3, H, W] in 0..1, …], "targets": [{"boxes", "labels", …}, …]}`; images may differ
    in size.
    """

    count_device = "cpu"
    with_masks: ClassVar[bool] = False
    body: ClassVar[str] = "backbone.body."
    """Prefix of the ResNet's names."""
    architecture: DetectorArchitecture

    def evaluate(self, batch: Batch) -> None:
        """Detect once, for all metrics.

        Raises:
            ValueError: the weights are not float32.
        """
        self.require_float32()
        found = [self.on_host(one) for one in self.detect(batch["images"])]
        truth = [{name: values.cpu() for name, values in target.items()} for target in batch["targets"]]
        for metric in self.metrics.values():
            metric.update(found, truth)

    def detect(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """What is found in each image, images of one size together.

        The images of a batch are padded to the largest, and the network's layers spread what they make of the padding
        into the image: beside a larger one, an image would give other detections than alone.
        """
        found: dict[int, dict[str, Tensor]] = {}
        for size in dict.fromkeys(image.shape for image in images):
            alike = [number for number, image in enumerate(images) if image.shape == size]
            found |= zip(alike, self.find([images[number] for number in alike]), strict=True)
        return [found[number] for number in range(len(images))]

    def find(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """`boxes` [N, 4] in pixels, `labels`, `scores` and perhaps more for each of some images of one size."""
        found: list[dict[str, Tensor]] = self.network(images)
        return found

    def on_host(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """One image's detections, brought to the host."""
        return {name: values.cpu() for name, values in found.items()}

    def require_float32(self) -> None:
        """Refuse weights in half precision: the batch comes in their type, and half a pixel is lost beyond 256.

        Raises:
            ValueError: says which precisions work.
        """
        dtype = next(self.network.parameters()).dtype
        if dtype != torch.float32:
            raise ValueError(
                f"{self.recipe.name} cannot hold its weights in {dtype}: boxes in pixels would be rounded with them,"
                " and torchvision's detection operators (nms, roi_align) have no such kernel, on the CPU at least."
                " Use precision=fp32, or fp16 or bf16, which keep float32 weights."
            )

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """The backbone from torchvision's ResNet, trained on ImageNet; everything else stays random."""
        own = self.network.state_dict()
        random = [name for name in own if not name.startswith(self.body) or name.endswith(COUNTER)]
        return InitialWeights(under_backbone(weights, self.network, self.body), may_lack=tuple(random))

    def datasets(self, spec: DataSpec) -> Datasets:
        """COCO 2017 under `spec.root`, or digits in front of photographs (`data=sample`)."""
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=SOURCE)
            return Datasets(train=self.coco(root, "train"), evaluation=self.coco(root, "val"))
        return Datasets(
            train=self._scenes("train", TRAINING_SCENES), evaluation=self._scenes("evaluation", EVALUATION_SCENES)
        )

    def coco(self, root: Any, split: Literal["train", "val"]) -> CocoInstances:
        """One part of COCO as the published case reads it."""
        return CocoInstances(root, split, categories=self.architecture.classes - 1, masks=self.with_masks)

    def _scenes(self, split: Literal["train", "evaluation"], length: int) -> DigitScenes:
        return DigitScenes(
            split=split,
            length=length,
            size=self.architecture.image_size,
            classes=min(DIGITS, self.architecture.classes - 1),
            most_digits=self.architecture.objects,
        )

    def collate(self, examples: list[Any]) -> Batch:
        """Images and targets stay lists, for their sizes differ."""
        return {
            "images": [example["image"] for example in examples],
            "targets": [example["target"] for example in examples],
        }

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Noise with `architecture.objects` objects per image.

        Always the same for a batch size, since the work of some layers depends on the values.
        """
        random = torch.Generator(device="cpu").manual_seed(SYNTHETIC_SEED)
        device = torch.get_default_device()
        height, width = self.architecture.image_size
        images, targets = [], []
        for number in range(batch_size):
            images.append(torch.rand(3, height, width, generator=random, device="cpu").to(device))
            target = _synthetic_target(self.architecture, random)
            if self.with_masks:
                target["masks"] = _filled(target["boxes"], height, width)
            target["image_id"] = torch.tensor([number], device="cpu")
            targets.append({name: values.to(device) for name, values in target.items()})
        return {"images": images, "targets": targets}

    def count(self, batch: Batch) -> Counts:
        """Images."""
        return Counts(samples=len(batch["images"]))


def _synthetic_target(architecture: DetectorArchitecture, random: torch.Generator) -> dict[str, Tensor]:
    """Boxes of an eighth to a half of the image's sides."""
    height, width = architecture.image_size
    count = architecture.objects
    size = torch.tensor([width, height], device="cpu")
    extent = ((torch.rand(count, 2, generator=random, device="cpu") * 3 / 8 + 1 / 8) * size).long()
    corner = (torch.rand(count, 2, generator=random, device="cpu") * (size - extent)).long()
    return {
        "boxes": torch.cat([corner, corner + extent], dim=1).float(),
        "labels": torch.randint(1, architecture.classes, (count,), generator=random, device="cpu"),
        "area": (extent[:, 0] * extent[:, 1]).float(),
        "iscrowd": torch.zeros(count, dtype=torch.int64, device="cpu"),
    }


def _filled(boxes: Tensor, height: int, width: int) -> Tensor:
    """A mask for each box that fills it, uint8 [N, height, width]."""
    masks = torch.zeros(len(boxes), height, width, dtype=torch.uint8, device="cpu")
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    return masks

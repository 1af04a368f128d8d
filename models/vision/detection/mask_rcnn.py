"""Mask R-CNN: boxes, classes and masks of objects, in torchvision's implementation.

Reference: FlagPerf training/mask_rcnn, which trains torchvision's `maskrcnn_resnet50_fpn` on COCO 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from models.datasets.base import Batch, Counts, Datasets
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.datasets.vision.coco import LAYOUT, SOURCE, CocoInstances
from models.datasets.vision.coco_map import MASK_THRESHOLD, CocoMeanAveragePrecision
from models.datasets.vision.scenes import DIGITS, DigitScenes
from models.recipe import Recipe
from models.trainable import Trainable
from models.vision.detection.mask_rcnn_network import MaskRcnnArchitecture, build_mask_rcnn

TRAINING_SCENES, EVALUATION_SCENES = 8192, 512
SYNTHETIC_SEED = 20170901


class MaskRcnn(Trainable):
    """Instance segmentation; quality is `box_map` and `mask_map`, COCO's mAP@[.5:.95] as fractions.

    A batch is `{"images": [float32 [3, H, W] in 0..1, …], "targets": [{"boxes", "labels", "masks", …}, …]}`; images may
    differ in size. Weights are float32: torchvision's detection operators (non-maximum suppression, region pooling)
    lack half-precision kernels, on the CPU at least; under autocast torchvision casts their inputs to float32.
    """

    count_device = "cpu"

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.architecture = TypeAdapter(MaskRcnnArchitecture).validate_python(recipe.architecture)
        self.network = build_mask_rcnn(self.architecture)
        self.metrics = {"box_map": CocoMeanAveragePrecision("bbox"), "mask_map": CocoMeanAveragePrecision("segm")}

    def loss(self, batch: Batch) -> Tensor:
        """The sum of the five losses: objectness and boxes of proposals; classes, boxes and masks of regions.

        Raises:
            ValueError: the weights are not float32.
        """
        self._require_float32()
        losses: dict[str, Tensor] = self.network(batch["images"], batch["targets"])
        return torch.stack([loss.float() for loss in losses.values()]).sum()

    def evaluate(self, batch: Batch) -> None:
        """Detect once; the box metric takes the boxes, the mask metric the masks.

        Raises:
            ValueError: the weights are not float32.
        """
        self._require_float32()
        detections = self._detect(batch["images"])
        for found in detections:
            found["masks"] = found["masks"] > MASK_THRESHOLD  # a quarter of the bytes to bring to the host
        found_on_host = [{name: values.cpu() for name, values in found.items()} for found in detections]
        truth_on_host = [{name: values.cpu() for name, values in truth.items()} for truth in batch["targets"]]
        for metric in self.metrics.values():
            metric.update(found_on_host, truth_on_host)

    def _detect(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """What is found in each image, images of one size together.

        torchvision pads the images of a batch to the largest, and the network's layers spread what they make of the
        padding into the image: beside a larger one, an image would give other detections than alone.
        """
        found: dict[int, dict[str, Tensor]] = {}
        for size in dict.fromkeys(image.shape for image in images):
            alike = [number for number, image in enumerate(images) if image.shape == size]
            found |= zip(alike, self.network([images[number] for number in alike]), strict=True)
        return [found[number] for number in range(len(images))]

    def datasets(self, spec: DataSpec) -> Datasets:
        """COCO 2017 under `spec.root`, or digits in front of photographs (`data=sample`)."""
        if spec.name == "dataset":
            root, categories = dataset_root(spec, expected=LAYOUT, source=SOURCE), self.architecture.classes - 1
            train, evaluation = (CocoInstances(root, split, categories=categories) for split in ("train", "val"))
            return Datasets(train=train, evaluation=evaluation)
        return Datasets(
            train=self._scenes("train", TRAINING_SCENES), evaluation=self._scenes("evaluation", EVALUATION_SCENES)
        )

    def _scenes(self, split: Literal["train", "evaluation"], length: int) -> DigitScenes:
        height, width = self.architecture.image_size
        return DigitScenes(
            split=split,
            length=length,
            size=(height, width),
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
        """Noise with `architecture.objects` objects per image: a box each, filled by its mask.

        Always the same for a batch size, since the number of regions that enter the mask head depends on the values.
        """
        random = torch.Generator(device="cpu").manual_seed(SYNTHETIC_SEED)
        device = torch.get_default_device()
        height, width = self.architecture.image_size
        images, targets = [], []
        for number in range(batch_size):
            images.append(torch.rand(3, height, width, generator=random, device="cpu").to(device))
            target = _synthetic_target(self.architecture, random)
            target["image_id"] = torch.tensor([number], device="cpu")
            targets.append({name: values.to(device) for name, values in target.items()})
        return {"images": images, "targets": targets}

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the heads at the recipe's number of regions.

        How many regions hold an object, and enter the mask head, depends on the image and on what the network has
        learnt: noise gives about 16. Counted are `regions_sampled` (published: 512) per image for the box head, a
        quarter of them (128), torchvision's largest share, with an object.
        """
        heads = self.network.get_submodule("roi_heads")
        hook = heads.register_forward_pre_hook(self._offer_regions)
        try:
            yield
        finally:
            hook.remove()

    def _offer_regions(self, heads: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Proposals of which the heads choose as many as they may: each object over and over, and specks."""
        features, proposals, sizes, targets = arguments
        wanted = self.architecture.regions_sampled
        offered = []
        for proposed, target in zip(proposals, targets, strict=True):
            boxes = target["boxes"].to(proposed)
            objects = boxes.repeat(-(-wanted // len(boxes)), 1)[:wanted]
            speck = torch.tensor([0.0, 0.0, 1.0, 1.0]).to(proposed)
            offered.append(torch.cat([objects, speck.expand(wanted, 4)]))
        return features, offered, sizes, targets

    def count(self, batch: Batch) -> Counts:
        """Images."""
        return Counts(samples=len(batch["images"]))

    def _require_float32(self) -> None:
        dtype = next(self.network.parameters()).dtype
        if dtype != torch.float32:
            raise ValueError(
                f"mask_rcnn cannot hold its weights in {dtype}: torchvision's detection operators (nms, roi_align) have"
                " no such kernel, on the CPU at least. Use precision=fp32, or fp16 or bf16, which keep float32 weights."
            )


def _synthetic_target(architecture: MaskRcnnArchitecture, random: torch.Generator) -> dict[str, Tensor]:
    """Boxes of an eighth to a half of the image's sides."""
    height, width = architecture.image_size
    count = architecture.objects
    size = torch.tensor([width, height], device="cpu")
    extent = ((torch.rand(count, 2, generator=random, device="cpu") * 3 / 8 + 1 / 8) * size).long()
    corner = (torch.rand(count, 2, generator=random, device="cpu") * (size - extent)).long()
    boxes = torch.cat([corner, corner + extent], dim=1)
    masks = torch.zeros(count, height, width, dtype=torch.uint8, device="cpu")
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    return {
        "boxes": boxes.float(),
        "labels": torch.randint(1, architecture.classes, (count,), generator=random, device="cpu"),
        "masks": masks,
        "area": (extent[:, 0] * extent[:, 1]).float(),
        "iscrowd": torch.zeros(count, dtype=torch.int64, device="cpu"),
    }

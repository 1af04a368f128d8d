"""DETR: objects as a set, by a transformer over a ResNet's features.

Reference: FlagPerf training/detr, which trains facebookresearch/detr's R50 on COCO 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

from pydantic import TypeAdapter
from torch import Tensor
from torchvision.ops import box_convert

from models.datasets.base import Batch
from models.datasets.vision.coco import CocoInstances
from models.datasets.vision.coco_map import CocoMeanAveragePrecision
from models.datasets.vision.resized import evaluation_size, training_change
from models.recipe import Recipe
from models.vision.detection.detector import Detector
from models.vision.detection.detr_loss import objects_of, set_loss, width_height
from models.vision.detection.detr_network import Answers, Detr, DetrArchitecture


class DetrDetector(Detector):
    """Boxes alone; every query is a detection, none is suppressed."""

    body: ClassVar[str] = "backbone.0.body."

    def __init__(self, recipe: Recipe) -> None:
        """Build from the recipe.

        Raises:
            pydantic.ValidationError: a `ValueError`; names what is unknown or mistyped in `architecture`.
        """
        super().__init__(recipe)
        self.architecture = TypeAdapter(DetrArchitecture).validate_python(recipe.architecture)
        self.network = Detr(self.architecture)
        self.metrics = {"box_map": CocoMeanAveragePrecision("bbox")}
        self.over_ranks = True

    def loss(self, batch: Batch) -> Tensor:
        """The set loss of every layer of the decoder, in float32.

        Raises:
            ValueError: the weights are not float32.
        """
        self.require_float32()
        answers: Answers = self.network(batch["images"])
        return set_loss(answers, objects_of(batch["images"], batch["targets"]), over_ranks=self.over_ranks)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """One rank counts, alone: a collective would wait for the others."""
        self.over_ranks = False
        try:
            yield
        finally:
            self.over_ranks = True

    def find(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """The last layer's answers: each query's likeliest object and its box in pixels."""
        logits, boxes = (one[-1] for one in self.network(images))
        scores, labels = logits.softmax(dim=-1)[..., :-1].max(dim=-1)
        corners = box_convert(boxes, "cxcywh", "xyxy") * width_height(images[0])
        rows = zip(scores, labels, corners, strict=True)
        return [dict(zip(("scores", "labels", "boxes"), row, strict=True)) for row in rows]

    def coco(self, root: Any, split: Literal["train", "val"]) -> CocoInstances:
        """Resized by the data, and trained on images without an object too."""
        change = training_change if split == "train" else evaluation_size
        categories = self.architecture.classes - 1
        return CocoInstances(root, split, categories=categories, masks=False, keep_empty=True, change=change)

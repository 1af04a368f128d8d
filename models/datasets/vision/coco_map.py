"""COCO's mean average precision, mAP@[.5:.95], of boxes or of masks, by pycocotools' own evaluation.

torchmetrics' MeanAveragePrecision is not used: over ranks with unequal numbers of images its gathering of lists hangs,
with masks alone it leaves false positives on images without objects out, and it evaluates four area ranges of which the
quality target needs one.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

MASK_THRESHOLD = 0.5
"""Probability from which a pixel belongs to a predicted mask, as in torchvision's reference."""


class CocoMeanAveragePrecision(Metric):
    """Mean over classes and over the IoU thresholds .5, .55 … .95 of the average precision: a fraction, 0..1.

    Crowd annotations match any number of detections and count neither way, as COCO defines it. At most 100 detections
    per image count. Without a single object in the ground truth the mean is undefined: NaN.
    """

    higher_is_better = True
    full_state_update = False
    images: list[dict[str, Any]]

    def __init__(self, kind: Literal["bbox", "segm"]) -> None:
        """`bbox` compares boxes, `segm` masks."""
        super().__init__()
        self.kind = kind
        self.add_state("images", default=[], dist_reduce_fx=None)

    def update(self, predictions: Sequence[dict[str, Tensor]], targets: Sequence[dict[str, Tensor]]) -> None:
        """Add images.

        Args:
            predictions: per image `boxes` [M, 4] (x1, y1, x2, y2), `labels` [M], `scores` [M] and, for `segm`, `masks`
                [M, 1, H, W] of probabilities, as torchvision's detectors return them, or [M, H, W] of booleans.
            targets: per image `boxes` [N, 4], `labels` [N], `iscrowd` [N], `area` [N], `image_id` (one integer,
                different for each image) and, for `segm`, `masks` [N, H, W] of 0 and 1.
        """
        for found, truth in zip(predictions, targets, strict=True):
            self.images.append(
                {
                    "image_id": int(truth["image_id"]),
                    "truth": self._shapes(truth),
                    "truth_labels": truth["labels"].tolist(),
                    "crowd": truth["iscrowd"].tolist(),
                    "area": truth["area"].tolist(),
                    "found": self._shapes(found),
                    "found_labels": found["labels"].tolist(),
                    "scores": found["scores"].tolist(),
                }
            )

    def compute(self) -> Tensor:
        """The mean average precision over all images of all ranks, a float64 scalar on the host."""
        truth, found = self._annotations()
        if not truth:
            return torch.tensor(float("nan"), dtype=torch.float64)
        categories = sorted({annotation["category_id"] for annotation in truth})
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells its progress there
            evaluation = COCOeval(self._index(truth, categories), self._index(found, categories), self.kind)
            evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
            evaluation.params.maxDets = [100]
            evaluation.evaluate()
            evaluation.accumulate()
        precision = evaluation.eval["precision"]  # [thresholds, recalls, classes, 1, 1]; -1 where a class has no object
        defined = precision[precision > -1]
        return torch.tensor(float(defined.mean()) if defined.size else float("nan"), dtype=torch.float64)

    def _shapes(self, item: dict[str, Tensor]) -> list[Any]:
        """What is compared: boxes as x, y, width, height, or run-length encoded masks."""
        if self.kind == "bbox":
            boxes = item["boxes"].cpu().double()
            return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).tolist()
        masks = item["masks"]
        if masks.is_floating_point():
            masks = masks > MASK_THRESHOLD
        height, width = masks.shape[-2:]
        pixels = masks.reshape(-1, height, width).to("cpu", torch.uint8).permute(1, 2, 0).numpy()
        return rle.encode(np.asfortranarray(pixels)) if pixels.shape[-1] else []

    def _annotations(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Ground truth and detections in COCO's form; ids start at 1, for pycocotools takes 0 for `no match`."""
        field = "bbox" if self.kind == "bbox" else "segmentation"
        truth: list[dict[str, Any]] = []
        found: list[dict[str, Any]] = []
        images = sorted(self.images, key=lambda image: image["image_id"])  # equal scores rank alike for any rank count
        for number, image in enumerate(images):
            for shape, label, crowd, area in zip(
                image["truth"], image["truth_labels"], image["crowd"], image["area"], strict=True
            ):
                ids = {"id": len(truth) + 1, "image_id": number, "category_id": label}
                truth.append({**ids, field: shape, "iscrowd": crowd, "area": area})
            for shape, label, score in zip(image["found"], image["found_labels"], image["scores"], strict=True):
                ids = {"id": len(found) + 1, "image_id": number, "category_id": label}
                found.append({**ids, field: shape, "score": score, "area": self._area(shape)})
        return truth, found

    def _area(self, shape: Any) -> float:
        return float(shape[2] * shape[3]) if self.kind == "bbox" else float(rle.area(shape))

    def _index(self, annotations: list[dict[str, Any]], categories: list[int]) -> COCO:
        index = COCO()
        index.dataset = {
            # masks come encoded, with their own size, so pycocotools reads these keys but uses no value
            "images": [{"id": number, "height": None, "width": None} for number in range(len(self.images))],
            "categories": [{"id": category} for category in categories],
            "annotations": annotations,
        }
        index.createIndex()
        return index

    def _sync_dist(
        self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any | None = None
    ) -> None:
        """Join the ranks' images. They are Python objects, and their number differs from rank to rank."""
        group = process_group or self.process_group
        gathered: list[Any] = [None] * torch.distributed.get_world_size(group)
        torch.distributed.all_gather_object(gathered, self.images, group=group)
        self.images = [image for images in gathered for image in images]

    def _apply(self, fn: Callable[..., Any], exclude_state: Sequence[str] = ()) -> torch.nn.Module:
        """Move to a device: the images are Python objects and stay on the host."""
        return super()._apply(fn, exclude_state=("images", *exclude_state))

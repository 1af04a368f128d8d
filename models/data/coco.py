"""COCO 2017 in its own on-disk form: `annotations/instances_*2017.json` beside folders of JPEG files.

Category numbers are kept as COCO has them (1..90, of which 80 are used), so a detector has 91 classes with the
background, as torchvision's detectors have. Training follows torchvision's reference: images without a usable object
are left out, crowd annotations and boxes without extent are dropped, and an image is mirrored every other time.
Evaluation keeps every image and every annotation: COCO's metric needs the crowds.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from pycocotools.coco import COCO
from torch import Tensor
from torch.utils.data import Dataset

from models.data.base import DataError

LAYOUT = (
    "<data.root>/train2017/*.jpg, <data.root>/val2017/*.jpg and "
    "<data.root>/annotations/instances_train2017.json and instances_val2017.json, as COCO 2017 unpacks"
)
SOURCE = "https://cocodataset.org/#download (2017 Train images, 2017 Val images, 2017 Train/Val annotations)"
CATEGORIES = 90
"""Largest category number of COCO; 91 classes with the background."""
NEEDED_KEYS = frozenset({"id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation"})


class CocoInstances(Dataset[dict[str, Any]]):
    """One split of COCO 2017.

    An example holds `image`, float32 [3, H, W] in 0..1, and `target`: `boxes` float32 [N, 4] (x1, y1, x2, y2, pixels),
    `labels` int64 [N] (COCO's category numbers), `masks` uint8 [N, H, W], `area` float32 [N], `iscrowd` int64 [N] and
    `image_id` int64 [1].
    """

    def __init__(self, root: Path, split: Literal["train", "val"]) -> None:
        """Read and check the annotations; images are read one by one, later.

        Raises:
            DataError: a file or folder is missing, or an annotation cannot be used; says which.
        """
        self.folder = root / f"{split}2017"
        self.file = root / "annotations" / f"instances_{split}2017.json"
        self.training = split == "train"
        self.coco = _index(self.file)
        self._check_images()
        self.ids = sorted(self.coco.imgs)
        if self.training:
            self.ids = [image_id for image_id in self.ids if _has_object(self.coco.imgToAnns.get(image_id, []))]
        if not self.ids:
            raise _malformed("No image of these annotations has an object", self.file)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image_id = self.ids[index]
        image = self._image(image_id)
        target = self._target(image_id)
        if self.training and torch.rand(()) < 0.5:  # noqa: PLR2004
            image, target = _mirrored(image, target)
        return {"image": image, "target": target}

    def _check_images(self) -> None:
        """Every image named in the annotations is there."""
        if not self.folder.is_dir():
            raise _malformed("Folder of images not found", self.folder)
        present = {path.name for path in self.folder.iterdir()}
        missing = [image["file_name"] for image in self.coco.imgs.values() if image["file_name"] not in present]
        if missing:
            problem = f"{len(missing)} of {len(self.coco.imgs)} images named in {self.file.name} are missing, the first"
            raise _malformed(problem, self.folder / missing[0])

    def _image(self, image_id: int) -> Tensor:
        described = self.coco.imgs[image_id]
        path = self.folder / described["file_name"]
        try:
            with Image.open(path) as file:
                pixels = np.array(file.convert("RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise _malformed(f"Image cannot be read ({error})", path) from error
        if pixels.shape[:2] != (described["height"], described["width"]):
            size = f"{pixels.shape[1]}x{pixels.shape[0]}, not {described['width']}x{described['height']}"
            raise _malformed(f"Image has another size than its annotations say ({size})", path)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div_(255)

    def _target(self, image_id: int) -> dict[str, Tensor]:
        annotations = self.coco.imgToAnns.get(image_id, [])
        height, width = self.coco.imgs[image_id]["height"], self.coco.imgs[image_id]["width"]
        if self.training:
            annotations = [annotation for annotation in annotations if not annotation["iscrowd"]]
        boxes = torch.tensor([a["bbox"] for a in annotations], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        target = {
            "boxes": boxes,
            "labels": torch.tensor([a["category_id"] for a in annotations], dtype=torch.int64),
            "masks": self._masks(annotations, height, width),
            "area": torch.tensor([a["area"] for a in annotations], dtype=torch.float32),
            "iscrowd": torch.tensor([a["iscrowd"] for a in annotations], dtype=torch.int64),
        }
        if self.training:
            boxes[:, 0::2].clamp_(min=0, max=width)
            boxes[:, 1::2].clamp_(min=0, max=height)
            kept = (boxes[:, 3] > boxes[:, 1]) & (boxes[:, 2] > boxes[:, 0])
            target = {name: values[kept] for name, values in target.items()}
        return {**target, "image_id": torch.tensor([image_id])}

    def _masks(self, annotations: Sequence[Mapping[str, Any]], height: int, width: int) -> Tensor:
        """Polygons and run-length codes as masks, uint8 [N, height, width]."""
        masks = np.zeros((len(annotations), height, width), dtype=np.uint8)
        for row, annotation in enumerate(annotations):
            mask = self.coco.annToMask(annotation)
            if mask.shape != (height, width):
                size = f"{mask.shape[1]}x{mask.shape[0]}, not {width}x{height}"
                raise _malformed(f"Annotation {annotation['id']} has a mask of {size}", self.file)
            masks[row] = mask
        return torch.from_numpy(masks)


def _index(file: Path) -> COCO:
    """The index pycocotools keeps of an annotation file, after a check of what is used of it."""
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise _malformed("Annotation file not found", file) from error
    except ValueError as error:
        raise _malformed(f"Annotation file is not valid JSON ({error})", file) from error
    parts = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in parts):
        raise _malformed("Annotation file lacks one of the lists images, annotations, categories", file)
    _check_annotations(content, file)
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells its progress there
        coco.createIndex()
    return coco


def _check_annotations(content: Mapping[str, Any], file: Path) -> None:
    for image in content["images"]:
        if not {"id", "file_name", "height", "width"} <= set(image):
            raise _malformed(f"An image lacks id, file_name, height or width ({image})", file)
    images = {image["id"] for image in content["images"]}
    for annotation in content["annotations"]:
        if not set(annotation) >= NEEDED_KEYS:
            lacking = ", ".join(sorted(NEEDED_KEYS - set(annotation)))
            raise _malformed(f"Annotation {annotation.get('id')} lacks {lacking}", file)
        if annotation["image_id"] not in images:
            problem = f"Annotation {annotation['id']} belongs to image {annotation['image_id']}, which is not listed"
            raise _malformed(problem, file)
        if not 1 <= annotation["category_id"] <= CATEGORIES:
            problem = f"Annotation {annotation['id']} has category {annotation['category_id']}, not 1 to {CATEGORIES}"
            raise _malformed(problem, file)
        if not _has_shape(annotation["segmentation"]):
            raise _malformed(f"Annotation {annotation['id']} has no usable segmentation", file)


def _has_shape(segmentation: Any) -> bool:
    """Whether pycocotools can make a mask of it: polygons (a flat list of four numbers is a box), or run lengths."""
    if isinstance(segmentation, dict):
        return {"size", "counts"} <= set(segmentation)
    if not isinstance(segmentation, list) or not segmentation:
        return False
    return all(isinstance(polygon, list) and len(polygon) >= 4 for polygon in segmentation)  # noqa: PLR2004


def _has_object(annotations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether training can use the image: some box is wider and higher than one pixel."""
    return any(annotation["bbox"][2] > 1 and annotation["bbox"][3] > 1 for annotation in annotations)


def _mirrored(image: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    boxes = target["boxes"].clone()
    boxes[:, [0, 2]] = image.shape[-1] - boxes[:, [2, 0]]
    return image.flip(-1), {**target, "boxes": boxes, "masks": target["masks"].flip(-1)}


def _malformed(problem: str, where: Path) -> DataError:
    return DataError(problem, where=where, expected=LAYOUT, source=SOURCE)

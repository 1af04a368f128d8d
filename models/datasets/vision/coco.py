"""COCO 2017 in its own on-disk form: `annotations/instances_*2017.json` beside folders of JPEG files.

Category numbers are kept as COCO has them (1..90, of which 80 are used), so a detector has 91 classes with the
background, as torchvision's detectors have. Training follows torchvision's reference: images without a usable object
are left out unless asked for, crowd annotations and boxes without extent are dropped, and an image is mirrored every
other time or changed as a model says. Evaluation keeps every image and annotation: COCO's metric needs the crowds. Only
images that the annotations name are looked for: other files in the folders do not matter.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pycocotools.coco import COCO
from torch import Tensor
from torch.utils.data import Dataset

from models.datasets.catalogue import find_dataset
from models.datasets.reading import Reader
from models.datasets.vision.coco_check import CATEGORIES, InstanceCheck

LAYOUT = (
    "<data.root>/train2017/*.jpg, <data.root>/val2017/*.jpg and "
    "<data.root>/annotations/instances_train2017.json and instances_val2017.json, as COCO 2017 unpacks"
)
SOURCE = find_dataset("coco_2017").described
COCO_FILES = Reader(expected=LAYOUT, source=SOURCE)

Target = dict[str, Tensor]
Change = Callable[[Tensor, Target], tuple[Tensor, Target]]
"""Makes another image, uint8 [3, H, W], and another target of them."""


class CocoInstances(Dataset[dict[str, Any]]):
    """One split of COCO 2017.

    An example holds `image`, float32 [3, H, W] in 0..1, and `target`: `boxes` float32 [N, 4] (x1, y1, x2, y2, pixels),
    `labels` int64 [N] (COCO's category numbers), `area` float32 [N], `iscrowd` int64 [N], `image_id` int64 [1] and,
    where they are asked for, `masks` uint8 [N, H, W].
    """

    def __init__(
        self,
        root: Path,
        split: Literal["train", "val"],
        *,
        categories: int = CATEGORIES,
        masks: bool = True,
        keep_empty: bool = False,
        change: Change | None = None,
    ) -> None:
        """Read and check the annotations; images are read one by one, later.

        Args:
            root: folder of the data set.
            split: which of its two parts.
            categories: largest category number that the network knows.
            masks: whether targets have them; without, the polygons are not kept.
            keep_empty: whether training keeps images without an object.
            change: what is done to each image; None: training mirrors every other one.

        Raises:
            DataError: a file or folder is missing, or an annotation cannot be used; says which.
        """
        self.folder = root / f"{split}2017"
        self.file = root / "annotations" / f"instances_{split}2017.json"
        self.training, self.masks = split == "train", masks
        self.change = change or (_mirrored_at_times if self.training else None)
        self.coco = _index(self.file, categories, masks=masks)
        self._check_images()
        self.ids = sorted(self.coco.imgs)
        if self.training and not keep_empty:
            self.ids = [image_id for image_id in self.ids if _has_object(self.coco.imgToAnns.get(image_id, []))]
        if not self.ids:
            raise COCO_FILES.error("No image of these annotations has an object", self.file)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image_id = self.ids[index]
        image, target = self._image(image_id), self._target(image_id)
        if self.change is not None:
            image, target = self.change(image, target)
        return {"image": image.contiguous().float().div_(255), "target": target}

    def aspect_ratios(self) -> list[float]:
        """Width ÷ height of each example's image as the annotations give them; no image is opened."""
        described = (self.coco.imgs[image_id] for image_id in self.ids)
        return [image["width"] / image["height"] for image in described]

    def _check_images(self) -> None:
        """Every image named in the annotations is there, or is but for the case of its ending."""
        if not self.folder.is_dir():
            raise COCO_FILES.error("Folder of images not found", self.folder)
        with COCO_FILES.reading(self.folder):
            present = {path.name for path in self.folder.iterdir()}
        endings = {_lower_ending(name): name for name in present}
        missing = []
        for image in self.coco.imgs.values():
            name = image["file_name"]
            if name not in present:
                image["file_name"] = endings.get(_lower_ending(name), name)
            if image["file_name"] not in present:
                missing.append(name)
        if missing:
            problem = f"{len(missing)} of {len(self.coco.imgs)} images named in {self.file.name} are missing, the first"
            raise COCO_FILES.error(problem, self.folder / missing[0])

    def _image(self, image_id: int) -> Tensor:
        """Pixels, uint8 [3, height, width]."""
        described = self.coco.imgs[image_id]
        path = self.folder / described["file_name"]
        pixels = np.array(COCO_FILES.image(path))
        if pixels.shape[:2] != (described["height"], described["width"]):
            size = f"{pixels.shape[1]}x{pixels.shape[0]}, not {described['width']}x{described['height']}"
            raise COCO_FILES.error(f"Image has another size than its annotations say ({size})", path)
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def _target(self, image_id: int) -> Target:
        annotations = self.coco.imgToAnns.get(image_id, [])
        height, width = self.coco.imgs[image_id]["height"], self.coco.imgs[image_id]["width"]
        if self.training:
            annotations = [annotation for annotation in annotations if not annotation["iscrowd"]]
        boxes = torch.tensor([a["bbox"] for a in annotations], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        target = {
            "boxes": boxes,
            "labels": torch.tensor([a["category_id"] for a in annotations], dtype=torch.int64),
            "area": torch.tensor([a["area"] for a in annotations], dtype=torch.float32),
            "iscrowd": torch.tensor([a["iscrowd"] for a in annotations], dtype=torch.int64),
        }
        if self.masks:
            target["masks"] = self._masks(annotations, height, width)
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
            with COCO_FILES.reading(self.file, f"Annotation {annotation['id']} has no usable segmentation"):
                masks[row] = self.coco.annToMask(annotation)
        return torch.from_numpy(masks)


def _index(file: Path, categories: int, *, masks: bool) -> COCO:
    """The index pycocotools keeps of an annotation file, after a check of what is used of it."""
    if not file.is_file():
        raise COCO_FILES.error("Annotation file not found", file)
    content = COCO_FILES.json(file, "Annotation file is not valid JSON")
    InstanceCheck(COCO_FILES, file, categories=categories).check(content)
    if not masks:
        for annotation in content["annotations"]:
            del annotation["segmentation"]  # by far the largest part, and every loader process holds it
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells its progress there
        coco.createIndex()
    return coco


def _has_object(annotations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether training can use the image: some box is wider and higher than one pixel."""
    return any(annotation["bbox"][2] > 1 and annotation["bbox"][3] > 1 for annotation in annotations)


def _lower_ending(name: str) -> str:
    path = Path(name)
    return path.stem + path.suffix.lower()


def mirrored(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    """Left for right: image, boxes and, where there are any, masks."""
    boxes = target["boxes"].clone()
    boxes[:, [0, 2]] = image.shape[-1] - boxes[:, [2, 0]]
    changed = {**target, "boxes": boxes}
    if "masks" in target:
        changed["masks"] = target["masks"].flip(-1)
    return image.flip(-1), changed


def _mirrored_at_times(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    return mirrored(image, target) if torch.rand(()) < 0.5 else (image, target)  # noqa: PLR2004

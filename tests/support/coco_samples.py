"""A COCO folder of a few images in the true format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HEIGHT, WIDTH = 40, 60

SQUARE = [10.0, 8.0, 30.0, 8.0, 30.0, 24.0, 10.0, 24.0]

"""Polygon of x 10..30, y 8..24."""


def annotation(number: int, image: int, **fields: Any) -> dict[str, Any]:
    polygon = {"segmentation": [SQUARE], "bbox": [10.0, 8.0, 20.0, 16.0], "area": 320.0, "iscrowd": 0}
    return {"id": number, "image_id": image, "category_id": 18, **polygon, **fields}


def crowd_rle() -> dict[str, Any]:
    """Uncompressed run lengths in column order, as COCO writes its crowds: all rows of columns 40..49."""
    return {"size": [HEIGHT, WIDTH], "counts": [40 * HEIGHT, 10 * HEIGHT, 10 * HEIGHT]}


def instances() -> dict[str, Any]:
    """Image 1: polygon and crowd; 2: no annotation; 3: a box without extent; 4: two parts; 5: crowd alone."""
    crowd = {"segmentation": crowd_rle(), "bbox": [40.0, 0.0, 10.0, 40.0], "area": 400.0, "iscrowd": 1}
    flat = {"bbox": [5.0, 5.0, 20.0, 0.5]}
    parts = {
        "segmentation": [SQUARE, [40.0, 30.0, 50.0, 30.0, 50.0, 38.0, 40.0, 38.0]],
        "bbox": [10.0, 8.0, 60.0, 30.0],
    }
    names = {number: f"{number:012d}.jpg" for number in (1, 2, 3, 4, 5)}
    return {
        "info": {"year": 2017},
        "images": [{"id": n, "file_name": name, "height": HEIGHT, "width": WIDTH} for n, name in names.items()],
        "annotations": [
            annotation(11, 1),
            annotation(12, 1, category_id=90, **crowd),
            annotation(13, 3, **flat),
            annotation(14, 4, category_id=1, **parts),
            annotation(15, 5, **crowd),
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 90, "name": "toothbrush"}],
    }


def write(root: Path, split: str, content: dict[str, Any]) -> None:
    (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))

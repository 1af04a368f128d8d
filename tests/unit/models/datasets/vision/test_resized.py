"""DETR's images: sizes as published, boxes that stay on their objects."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.datasets.vision import resized
from models.datasets.vision.coco import Target


def example(height: int = 120, width: int = 160) -> tuple[Tensor, Target]:
    """A bright box on black, and one in the far corner."""
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    image[:, 40:80, 60:100] = 200
    boxes = torch.tensor([[60.0, 40.0, 100.0, 80.0], [0.0, 0.0, 4.0, 4.0]])
    target = {
        "boxes": boxes,
        "labels": torch.tensor([7, 9]),
        "area": torch.tensor([1600.0, 16.0]),
        "iscrowd": torch.zeros(2, dtype=torch.int64),
        "image_id": torch.tensor([5]),
    }
    return image, target


@pytest.mark.parametrize(
    ("size", "side", "new"),
    [
        ((480, 640), 800, (800, 1066)),
        ((640, 480), 800, (1066, 800)),
        ((427, 640), 800, (800, 1199)),
        ((300, 640), 800, (625, 1333)),
        ((500, 500), 512, (512, 512)),
    ],
)
def test_sizes_are_those_of_the_original(size: tuple[int, int], side: int, new: tuple[int, int]) -> None:
    assert resized.new_size(*size, side, 1333) == new


def test_evaluation_size_carries_boxes_along() -> None:
    image, target = resized.evaluation_size(*example())
    assert image.shape == (3, 800, 1066) and image.dtype == torch.uint8
    across, down = 1066 / 160, 800 / 120
    assert target["boxes"][0].tolist() == pytest.approx([60 * across, 40 * down, 100 * across, 80 * down])
    assert target["area"].tolist() == pytest.approx([1600 * across * down, 16 * across * down])
    x1, y1, x2, y2 = target["boxes"][0].round().int().tolist()
    assert int(image[:, y1 + 9 : y2 - 9, x1 + 9 : x2 - 9].min()) == 200
    assert int(image[:, : y1 - 9].max()) == 0


def test_a_cut_keeps_what_is_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([50, 60, 45, 70])  # height, width, top, left
    monkeypatch.setattr(resized, "_between", lambda low, high: next(numbers))
    image, target = resized.cut(*example())
    assert image.shape == (3, 50, 60)
    assert target["boxes"].tolist() == [[0.0, 0.0, 30.0, 35.0]]
    assert target["labels"].tolist() == [7] and target["area"].tolist() == [1050.0]
    assert target["image_id"].tolist() == [5]
    assert int(image[:, :35, :30].min()) == 200 and int(image[:, 35:].max()) == 0


def test_training_images_have_the_published_sizes() -> None:
    torch.manual_seed(0)
    shorter = set()
    for _ in range(40):
        image, target = resized.training_change(*example(240, 320))
        height, width = image.shape[-2:]
        shorter.add(min(height, width))
        assert max(height, width) <= 1333
        boxes = target["boxes"]
        assert bool((boxes[:, 2:] > boxes[:, :2]).all())
        assert len(boxes) == len(target["labels"]) == len(target["area"]) == len(target["iscrowd"])
        assert all(box[2] <= width + 1e-3 and box[3] <= height + 1e-3 for box in boxes.tolist())
    assert shorter <= set(range(480, 801, 32)) and len(shorter) > 5

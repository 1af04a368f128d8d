from __future__ import annotations

import pytest
import torch
from torchvision.ops import masks_to_boxes

from models.datasets.vision.scenes import DIGITS, DigitScenes


def scenes(split: str = "train", **options: object) -> DigitScenes:
    return DigitScenes(**{"split": split, "length": 64, "size": (96, 128), **options})  # type: ignore[arg-type]


def test_example_has_the_documented_shapes_and_types() -> None:
    example = scenes()[3]
    image, target = example["image"], example["target"]
    count = len(target["labels"])
    assert image.shape == (3, 96, 128)
    assert image.dtype == torch.float32
    assert 0.0 <= float(image.min()) < float(image.max()) <= 1.0
    assert target["boxes"].shape == (count, 4)
    assert target["boxes"].dtype == torch.float32
    assert target["masks"].shape == (count, 96, 128)
    assert target["masks"].dtype == torch.uint8
    assert target["image_id"].tolist() == [3]


def test_boxes_are_the_bounds_of_their_masks() -> None:
    for index in range(32):
        target = scenes()[index]["target"]
        inclusive = masks_to_boxes(target["masks"])
        exclusive = inclusive + torch.tensor([0.0, 0.0, 1.0, 1.0])
        assert torch.equal(target["boxes"], exclusive)
        assert torch.equal(target["area"], target["masks"].sum(dim=(1, 2)).float())


def test_masks_are_exactly_the_painted_pixels() -> None:
    for index in range(32):
        example = scenes()[index]
        image, masks = (example["image"] * 255).round().int(), example["target"]["masks"].bool()
        for mask in masks:
            assert len(image[:, mask].unique(dim=1).T) == 1, "a digit has one colour"
            assert int(image[:, mask].min()) >= 150
        background = image[:, ~masks.any(dim=0)]
        assert int(background.max()) <= 127


def test_instances_do_not_overlap() -> None:
    counts = set()
    for index in range(64):
        masks = scenes()[index]["target"]["masks"]
        assert int(masks.sum(dim=0).max()) == 1
        counts.add(len(masks))
    assert counts == {1, 2, 3, 4}


def test_scene_depends_on_split_seed_and_index_alone() -> None:
    first, again = scenes()[5], scenes()[5]
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["target"]["masks"], again["target"]["masks"])
    for other in (scenes()[6], scenes(seed=1)[5], scenes("evaluation")[5]):
        assert not torch.equal(first["image"], other["image"])


def test_splits_share_no_digit() -> None:
    train, evaluation = scenes().sources, scenes("evaluation").sources
    assert len(train.digits) + len(evaluation.digits) == 1797
    assert len(evaluation.digits) == 360
    assert set(evaluation.labels) == set(range(DIGITS))


def test_classes_limit_the_labels() -> None:
    labels = torch.cat([scenes(classes=3)[index]["target"]["labels"] for index in range(64)])
    assert set(labels.tolist()) == {1, 2, 3}
    with pytest.raises(ValueError, match="1 to 10 classes, not 80"):
        scenes(classes=80)


def test_large_scenes_are_upscaled_photographs() -> None:
    example = scenes(size=(480, 640))[0]
    assert example["image"].shape == (3, 480, 640)
    assert float(example["target"]["boxes"][:, 2:].max()) <= 640


def test_iteration_ends() -> None:
    assert sum(1 for _ in scenes(length=3)) == 3  # type: ignore[misc]

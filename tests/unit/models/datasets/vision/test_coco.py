from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coco_samples import HEIGHT, WIDTH, crowd_rle, instances, write
from PIL import Image
from pycocotools import mask as rle
from torch import Tensor

from models.datasets.base import DataError
from models.datasets.vision.coco import CocoInstances

CROWD_COLUMNS = slice(40, 50)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        (tmp_path / f"{split}2017").mkdir()
        write(tmp_path, split, instances())
        for image in instances()["images"]:
            ramp = np.tile(np.arange(WIDTH, dtype=np.uint8) * 4, (HEIGHT, 1))
            Image.fromarray(np.stack([ramp] * 3, axis=-1)).save(
                tmp_path / f"{split}2017" / image["file_name"], quality=95
            )
    return tmp_path


def test_evaluation_keeps_every_image_and_crowd(root: Path) -> None:
    split = CocoInstances(root, "val")
    assert split.ids == [1, 2, 3, 4, 5]
    target = split[0]["target"]
    assert target["labels"].tolist() == [18, 90]
    assert target["iscrowd"].tolist() == [0, 1]
    assert target["area"].tolist() == [320.0, 400.0]
    assert target["boxes"].tolist() == [[10.0, 8.0, 30.0, 24.0], [40.0, 0.0, 50.0, 40.0]]
    assert target["image_id"].tolist() == [1]


def test_polygon_and_crowd_masks_are_exact(root: Path) -> None:
    polygon, crowd = CocoInstances(root, "val")[0]["target"]["masks"]
    expected = torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8)
    expected[8:24, 10:30] = 1
    assert torch.equal(polygon, expected)
    expected = torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8)
    expected[:, CROWD_COLUMNS] = 1
    assert torch.equal(crowd, expected)


def test_compressed_run_lengths_are_read(root: Path) -> None:
    content = instances()
    compressed = rle.frPyObjects(crowd_rle(), HEIGHT, WIDTH)
    content["annotations"][1]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": compressed["counts"].decode()}
    write(root, "val", content)
    assert int(CocoInstances(root, "val")[0]["target"]["masks"][1].sum()) == 10 * HEIGHT


def test_parts_of_one_object_share_a_mask(root: Path) -> None:
    masks = CocoInstances(root, "val")[3]["target"]["masks"]
    assert masks.shape[0] == 1
    assert int(masks.sum()) == 20 * 16 + 10 * 8


def test_empty_image_has_empty_targets_of_the_right_shapes(root: Path) -> None:
    target = CocoInstances(root, "val")[1]["target"]
    assert target["boxes"].shape == (0, 4)
    assert target["masks"].shape == (0, HEIGHT, WIDTH)
    assert target["labels"].shape == (0,)
    assert target["labels"].dtype == torch.int64


def test_training_leaves_out_images_without_a_usable_box(root: Path) -> None:
    assert CocoInstances(root, "train").ids == [1, 4, 5]


def test_training_drops_crowds_and_clamps_boxes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda *_: torch.tensor(0.9))
    split = CocoInstances(root, "train")
    assert split[0]["target"]["labels"].tolist() == [18]
    assert split[1]["target"]["boxes"].tolist() == [[10.0, 8.0, 60.0, 38.0]]
    assert split[2]["target"]["boxes"].shape == (0, 4)


def test_mirroring_moves_image_boxes_and_masks_together(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = CocoInstances(root, "train")
    monkeypatch.setattr(torch, "rand", lambda *_: torch.tensor(0.9))
    plain = split[0]
    monkeypatch.setattr(torch, "rand", lambda *_: torch.tensor(0.1))
    mirrored = split[0]
    assert torch.equal(mirrored["image"], plain["image"].flip(-1))
    assert mirrored["target"]["boxes"].tolist() == [[WIDTH - 30.0, 8.0, WIDTH - 10.0, 24.0]]
    assert torch.equal(mirrored["target"]["masks"], plain["target"]["masks"].flip(-1))


def test_image_is_the_file(root: Path) -> None:
    image = CocoInstances(root, "val")[0]["image"]
    assert image.shape == (3, HEIGHT, WIDTH)
    expected = torch.arange(WIDTH) * 4 / 255
    assert torch.allclose(image[0, 20], expected, atol=0.03), "within JPEG's loss"


def test_nothing_is_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CocoInstances(root, "val")
    assert capsys.readouterr().out == ""


def test_without_masks_nothing_is_decoded_or_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda *_: torch.tensor(0.1))  # mirrored
    for split in ("train", "val"):
        data = CocoInstances(root, split, masks=False)  # type: ignore[arg-type]
        assert "masks" not in data[0]["target"] and len(data[0]["target"]["boxes"]) > 0
        assert not any("segmentation" in annotation for annotation in data.coco.anns.values())


def test_training_may_keep_images_without_objects(root: Path) -> None:
    data = CocoInstances(root, "train", masks=False, keep_empty=True)
    assert data.ids == [1, 2, 3, 4, 5]
    assert data[1]["target"]["boxes"].shape == (0, 4)


def test_aspect_ratios_come_from_the_annotations(root: Path) -> None:
    content = instances()
    content["images"][3]["width"] = 2 * WIDTH
    write(root, "train", content)
    data = CocoInstances(root, "train")
    for file in (root / "train2017").iterdir():
        file.write_bytes(b"never opened")
    assert data.aspect_ratios() == [WIDTH / HEIGHT, 2 * WIDTH / HEIGHT, WIDTH / HEIGHT]


def test_a_change_replaces_the_mirror(root: Path) -> None:
    def darker(image: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        assert image.dtype == torch.uint8
        return image[:, :10] // 2, {**target, "boxes": target["boxes"] + 1}

    example = CocoInstances(root, "train", change=darker)[0]
    assert example["image"].shape == (3, 10, WIDTH) and float(example["image"].max()) <= 0.5
    assert example["target"]["boxes"].tolist() == [[11.0, 9.0, 31.0, 25.0]]


def test_other_files_do_not_matter_and_endings_may_be_upper_case(root: Path) -> None:
    folder = root / "val2017"
    before = CocoInstances(root, "val")[0]["image"]
    (folder / "000000000001.jpg").rename(folder / "000000000001.JPG")
    for name in (".DS_Store", "._000000000001.jpg", "Thumbs.db", "000000000777.jpg"):
        (folder / name).write_bytes(b"no image")
    data = CocoInstances(root, "val")
    assert data.ids == [1, 2, 3, 4, 5] and torch.equal(data[0]["image"], before)


def test_workers_can_hold_it(root: Path) -> None:
    copy = pickle.loads(pickle.dumps(CocoInstances(root, "val", masks=False)))
    assert copy[0]["target"]["labels"].tolist() == [18, 90]


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("bbox", [float("nan"), 8.0, 20.0, 16.0], "Annotation 11: bbox is"),
        ("bbox", [10.0, 8.0, float("inf"), 16.0], "Annotation 11: bbox is"),
        ("bbox", [10.0, 8.0, -20.0, 16.0], "Annotation 11: bbox is"),
        ("area", float("nan"), "Annotation 11: area is nan"),
        ("category_id", 0, "Annotation 11: category_id is 0"),
        ("category_id", 18.5, "Annotation 11: category_id is 18.5"),
    ],
)
def test_values_that_are_none_are_named(root: Path, key: str, value: Any, problem: str) -> None:
    content = instances()
    content["annotations"][0][key] = value
    write(root, "val", content)
    with pytest.raises(DataError, match=re.escape(problem)):
        CocoInstances(root, "val", masks=False)


def test_a_byte_order_mark_is_no_damage(root: Path) -> None:
    file = root / "annotations" / "instances_val2017.json"
    file.write_text("\ufeff" + file.read_text())
    assert len(CocoInstances(root, "val")) == 5


def delete_annotations(root: Path) -> None:
    (root / "annotations" / "instances_val2017.json").unlink()


def break_json(root: Path) -> None:
    file = root / "annotations" / "instances_val2017.json"
    file.write_text(file.read_text()[:-40])


def other_json(root: Path) -> None:
    (root / "annotations" / "instances_val2017.json").write_text('["images"]')


def delete_image(root: Path) -> None:
    (root / "val2017" / "000000000003.jpg").unlink()


def delete_folder(root: Path) -> None:
    for file in (root / "val2017").iterdir():
        file.unlink()
    (root / "val2017").rmdir()


def orphan_annotation(root: Path) -> None:
    content = instances()
    content["annotations"][2]["image_id"] = 777
    write(root, "val", content)


def unknown_category(root: Path) -> None:
    content = instances()
    content["annotations"][0]["category_id"] = 91
    write(root, "val", content)


def incomplete_annotation(root: Path) -> None:
    content = instances()
    del content["annotations"][1]["iscrowd"]
    write(root, "val", content)


@pytest.mark.parametrize(
    ("damage", "problem", "where"),
    [
        (delete_annotations, "Annotation file not found", "instances_val2017.json"),
        (break_json, "not valid JSON", "instances_val2017.json"),
        (other_json, "lacks one of the lists", "instances_val2017.json"),
        (delete_image, "1 of 5 images named in instances_val2017.json are missing", "000000000003.jpg"),
        (delete_folder, "Folder of images not found", "val2017"),
        (orphan_annotation, "belongs to image 777", "instances_val2017.json"),
        (
            unknown_category,
            "Annotation 11: category_id is 91, not a whole number from 1 to 90",
            "instances_val2017.json",
        ),
        (incomplete_annotation, "Annotation 12 lacks iscrowd", "instances_val2017.json"),
    ],
)
def test_damage_is_named(root: Path, damage: Callable[[Path], None], problem: str, where: str) -> None:
    damage(root)
    with pytest.raises(DataError) as caught:
        CocoInstances(root, "val")
    assert problem in str(caught.value)
    assert caught.value.where.endswith(where)
    assert "instances_train2017.json" in caught.value.expected
    assert "cocodataset.org" in str(caught.value)


def test_wrong_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Annotation file not found") as caught:
        CocoInstances(tmp_path / "nowhere", "train")
    assert caught.value.where == str(tmp_path / "nowhere" / "annotations" / "instances_train2017.json")


def test_annotations_without_objects_are_refused(root: Path) -> None:
    write(root, "train", {**instances(), "annotations": []})
    with pytest.raises(DataError, match="No image of these annotations has an object"):
        CocoInstances(root, "train")


@pytest.mark.parametrize("content", [b"not a JPEG", b""])
def test_unreadable_image_is_named(root: Path, content: bytes) -> None:
    (root / "val2017" / "000000000002.jpg").write_bytes(content)
    split = CocoInstances(root, "val")
    with pytest.raises(DataError, match=r"Image cannot be read .*000000000002\.jpg"):
        split[1]


def test_truncated_image_is_named(root: Path) -> None:
    file = root / "val2017" / "000000000002.jpg"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match="Image cannot be read"):
        CocoInstances(root, "val")[1]


def test_image_of_another_size_is_named(root: Path) -> None:
    Image.new("RGB", (WIDTH + 1, HEIGHT)).save(root / "val2017" / "000000000002.jpg")
    with pytest.raises(DataError, match="61x40, not 60x40"):
        CocoInstances(root, "val")[1]


@pytest.mark.parametrize("segmentation", [[], [[1.0, 2.0]], {"size": [HEIGHT, WIDTH]}, None])
def test_unusable_segmentation_is_named(root: Path, segmentation: Any) -> None:
    content = instances()
    content["annotations"][0]["segmentation"] = segmentation
    write(root, "val", content)
    with pytest.raises(DataError, match="Annotation 11 has no usable segmentation"):
        CocoInstances(root, "val")[0]


def test_run_lengths_of_another_size_are_named(root: Path) -> None:
    content = instances()
    content["annotations"][1]["segmentation"]["size"] = [HEIGHT, WIDTH + 1]
    write(root, "val", content)
    with pytest.raises(DataError, match="Annotation 12 has a mask of 61x40, not 60x40"):
        CocoInstances(root, "val")[0]

"""ImageNet's validation images in one folder with `val_map.txt`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from language_samples import dataset_spec, recipe
from PIL import Image
from zoo import model_class

from models.datasets.base import DataError
from models.datasets.vision.image_folder import LabelledFolder
from models.datasets.vision.image_list import ListedImages
from models.datasets.vision.views import centre_crop

LABELS = (2, 0, 1, 1)


def name(number: int) -> str:
    return f"ILSVRC2012_val_{number + 1:08d}.JPEG"


def write(root: Path, *, folder: str = ".", labels: tuple[int, ...] = LABELS) -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for number, _ in enumerate(labels):
        pixels = np.random.default_rng(number).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / folder / name(number), "JPEG")
    lines = [f"{name(number)} {label}" for number, label in enumerate(labels)]
    (root / "val_map.txt").write_text("\n".join(lines) + "\n")
    return root


def read(root: Path, **changes: Any) -> ListedImages:
    return ListedImages(root, **{"view": centre_crop(16), "classes": 3, "source": "https://example.org", **changes})


@pytest.mark.parametrize("folder", [".", "val", "ILSVRC2012_img_val"])
def test_reads_every_image_with_its_label_in_the_lists_order(tmp_path: Path, folder: str) -> None:
    data = read(write(tmp_path, folder=folder))
    assert [data[index].label for index in range(len(data))] == [*LABELS]
    assert data[0].image.shape == (3, 16, 16)


def test_gives_what_class_folders_give(tmp_path: Path) -> None:
    listed = read(write(tmp_path))
    for number, label in enumerate(LABELS):
        of_class = tmp_path / "folders" / f"n{label:08d}"
        of_class.mkdir(parents=True, exist_ok=True)
        (of_class / name(number)).write_bytes((tmp_path / name(number)).read_bytes())
    sorted_ones = LabelledFolder(tmp_path / "folders", view=centre_crop(16), source="")
    found = sorted((one.label, one.image.sum().item()) for one in (listed[index] for index in range(4)))
    assert found == sorted((one.label, one.image.sum().item()) for one in (sorted_ones[index] for index in range(4)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ILSVRC2012_val_00000001.JPEG", "Not a name and a label: .*line 5"),
        ("ILSVRC2012_val_00000009.JPEG one", "Not a name and a label"),
        ("ILSVRC2012_val_00000009.JPEG -1", "Not a name and a label"),
        ("../ILSVRC2012_val_00000009.JPEG 1", "Not a name and a label"),
        ("ILSVRC2012_val_00000009.JPEG 3", "Label 3 of a network of 3 classes"),
        ("ILSVRC2012_val_00000001.JPEG 1", "named twice"),
        ("ILSVRC2012_val_00000009.JPEG 1", "1 of 5 images named in val_map.txt are missing, the first: .*09.JPEG"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path)
    with (tmp_path / "val_map.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_a_class_without_images_and_an_empty_list_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 of 4 classes have no image, the first 3"):
        read(write(tmp_path), classes=4)
    (tmp_path / "val_map.txt").write_text("")
    with pytest.raises(DataError, match="3 of 3 classes have no image"):
        read(tmp_path)


def test_a_damaged_image_is_an_error_when_it_is_reached(tmp_path: Path) -> None:
    data = read(write(tmp_path))
    (tmp_path / name(1)).write_bytes((tmp_path / name(1)).read_bytes()[:300])
    assert data[0].label == 2
    with pytest.raises(DataError, match=name(1)):
        data[1]


def test_a_classifier_is_scored_on_the_list_without_training_images(tmp_path: Path) -> None:
    write(tmp_path, labels=tuple(range(10)))
    model = model_class("resnet50")(recipe("resnet50"))
    data: Any = model.evaluation_data(dataset_spec(tmp_path))
    assert len(data) == 10 and data[9].label == 9
    assert model.calibration_data(dataset_spec(tmp_path)) is None

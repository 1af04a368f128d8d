"""Folders in ImageNet's form, written by the tests themselves."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from models.datasets.base import DataError, Datasets
from models.datasets.vision.image_folder import image_folders
from models.datasets.vision.views import Views, centre_crop, random_crop

SYNSETS = ("n01440764", "n01443537", "n01484850")


def write_image(path: Path, *, size: tuple[int, int] = (40, 30), mode: str = "RGB", seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels, mode).save(path, "JPEG")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part, count in (("train", 3), ("val", 2)):
        for number, synset in enumerate(SYNSETS):
            for index in range(count):
                write_image(tmp_path / part / synset / f"{synset}_{index}.JPEG", seed=10 * number + index)
    return tmp_path


def read(root: Path, **changes: Any) -> Datasets:
    views = Views(random_crop(16), centre_crop(16))
    return image_folders(root, **{"views": views, "classes": 3, "source": "https://example.org", **changes})


def test_reads_every_image_with_its_class_in_alphabetic_order(root: Path) -> None:
    train, evaluation = read(root)
    assert (len(train), len(evaluation)) == (9, 6)  # type: ignore[arg-type]
    assert [train[index].label for index in range(9)] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for part in (train, evaluation):
        assert part[0].image.shape == (3, 16, 16)
        assert part[0].image.dtype == torch.float32


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_photographs_become_rgb(root: Path, mode: str) -> None:
    # ImageNet holds both.
    write_image(root / "val" / SYNSETS[0] / "a_first.JPEG", mode=mode)
    assert read(root).evaluation[0].image.shape == (3, 16, 16)


def test_hidden_files_are_left_out_and_upper_case_endings_are_read(root: Path) -> None:
    expected = [len(part) for part in read(root)]  # type: ignore[arg-type]
    for part in ("train", "val"):
        (root / part / ".DS_Store").write_bytes(b"\0")
        (root / part / "._n01440764").mkdir()
        (root / part / ".ipynb_checkpoints").mkdir()
        (root / part / SYNSETS[0] / "._n01440764_0.JPEG").write_bytes(b"\0\5\x16\7")
        (root / part / SYNSETS[0] / "notes.txt").write_text("no image")
        write_image(root / part / SYNSETS[2] / "UPPER.JPG")
        write_image(root / part / SYNSETS[2] / "zélé.jpeg")
    found = read(root)
    assert [len(part) for part in found] == [number + 2 for number in expected]  # type: ignore[arg-type]
    for part in found:
        assert [part[index].label for index in range(len(part))][-2:] == [2, 2]  # type: ignore[arg-type]


def test_images_come_by_class_and_name_and_not_as_the_disk_lists_them(root: Path) -> None:
    train: Any = read(root).train
    listed = [str(path) for path in sorted((root / "train").glob("*/*"))]
    assert [str(root / "train" / SYNSETS[index // 3] / train._name(index)) for index in range(9)] == listed


def test_no_file_is_opened_or_asked_about_while_the_names_are_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = os.stat

    def stat(path: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(str(path))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("an image was opened"))
    read(root)
    assert not [path for path in asked if path.lower().endswith(".jpeg")]


def test_a_million_names_take_little_memory_and_survive_pickling(root: Path) -> None:
    train: Any = read(root).train
    copy = pickle.loads(pickle.dumps(train))
    assert [copy._name(index) for index in range(9)] == [train._name(index) for index in range(9)]
    bytes_per_image = (len(train._names) + train._ends.nbytes + train._labels.nbytes) / 9
    assert bytes_per_image < 40


def fails(root: Path, **changes: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(root, **changes)
    message = str(caught.value)
    assert "https://example.org" in message
    return message


def test_missing_train_folder_is_named_with_the_layout(tmp_path: Path) -> None:
    message = fails(tmp_path)
    assert str(tmp_path / "train") in message
    assert "train/<class>/*.JPEG and val/<class>/*.JPEG" in message


def test_missing_val_folder_is_named(root: Path) -> None:
    (root / "val").rename(root / "validation")
    assert str(root / "val") in fails(root)


def test_folder_without_classes_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "train" / "flat.JPEG")
    message = fails(tmp_path)
    assert str(tmp_path / "train") in message
    assert "class" in message


def test_class_without_images_is_named(root: Path) -> None:
    (root / "train" / "n99999999").mkdir()
    assert "n99999999" in fails(root)


def test_differing_classes_are_named(root: Path) -> None:
    (root / "val" / SYNSETS[2]).rename(root / "val" / "n99999999")
    message = fails(root)
    assert SYNSETS[2] in message
    assert "n99999999" in message


def test_many_differing_classes_are_cut_short(root: Path) -> None:
    for number in range(9):
        write_image(root / "train" / f"extra{number}" / "a.JPEG")
    assert "extra4 …" in fails(root)


def test_other_number_of_classes_than_the_network(root: Path) -> None:
    assert "3 class folders for a network of 1000" in fails(root, classes=1000)


DAMAGE = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "not an image": lambda whole: b"<html>404</html>",
    "empty": lambda whole: b"",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_image_is_named_when_it_is_reached(root: Path, damage: str, workers: int) -> None:
    victim = root / "val" / SYNSETS[1] / f"{SYNSETS[1]}_1.JPEG"
    victim.write_bytes(DAMAGE[damage](victim.read_bytes()))
    evaluation = read(root).evaluation
    # Also from a loader process, which hands errors over as text.
    with pytest.raises(DataError) as caught:
        list(DataLoader(evaluation, batch_size=1, num_workers=workers, collate_fn=list))
    assert str(victim) in str(caught.value)
    assert "https://example.org" in str(caught.value)


def test_error_survives_pickling() -> None:
    error = DataError("Cut short", where="a.JPEG", expected="a whole JPEG", source="there")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.where, copy.expected) == (str(error), "a.JPEG", "a whole JPEG")
